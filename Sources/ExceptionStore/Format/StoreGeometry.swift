public import Block

/// How large a store has to be.
public enum StoreGeometry {
    /// The fewest chunks that can hold an exception: header, area, data.
    public static let fewestChunks: UInt64 = 3

    /// The bytes of a store that every chunk of the origin fits into.
    ///
    /// The header, every exception's data, and the areas with the one behind the last full one.
    /// So the kernel's condition for the last exception, `(next_free + 1) × chunk ≤ size`
    /// (`persistent_prepare_exception`), holds, and so does that the area after a full one
    /// exists: the size is never `1 + (E + 1) × k` chunks, where the last exception invalidates
    /// the store.
    ///
    /// - Parameters:
    ///   - originSize: The origin's size in bytes; its last chunk may be short.
    ///   - chunkSize: The store's chunk size.
    ///   - spareChunks: Room for chunks that a crash leaves handed out but never committed; they
    ///     are not handed out again.
    /// - Returns: The size in bytes, a whole number of chunks.
    /// - Throws: `sizeOverflow` where the store would be larger than 2⁶³ − 1 bytes.
    public static func bytesNeeded(
        originSize: ByteCount, chunkSize: ChunkSize, spareChunks: UInt64 = 0
    ) throws(ExceptionStoreError) -> ByteCount {
        let layout = AreaLayout(chunkSize: chunkSize)
        let (exceptions, tooMany) = chunkSize.chunks(covering: originSize)
            .addingReportingOverflow(spareChunks)
        let (chunks, overflow) = exceptions.addingReportingOverflow(
            1 + layout.areas(forExceptions: exceptions))
        guard !tooMany, !overflow else { throw .sizeOverflow }
        return try bytes(chunks: max(chunks, fewestChunks), of: chunkSize)
    }

    /// The largest good size for a store that may take `limit` bytes and no more.
    ///
    /// Whole chunks, and never `1 + (E + 1) × k` of them.
    ///
    /// - Throws: `storeTooSmall` where not even one exception would fit; `sizeOverflow`.
    public static func largestSize(
        notOver limit: ByteCount, chunkSize: ChunkSize
    ) throws(ExceptionStoreError) -> ByteCount {
        var chunks = chunkSize.wholeChunks(in: limit)
        // In a store of 1 + (E + 1) × k chunks the next area would be in the chunk of that number.
        if AreaLayout(chunkSize: chunkSize).isArea(chunks) { chunks -= 1 }
        guard chunks >= fewestChunks else {
            throw .storeTooSmall(
                size: limit, needed: try bytes(chunks: fewestChunks, of: chunkSize))
        }
        return try bytes(chunks: chunks, of: chunkSize)
    }

    /// Whether a store of this size can come to be invalidated by the exception that fills it.
    public static func endsOnAreaBoundary(_ size: ByteCount, chunkSize: ChunkSize) -> Bool {
        AreaLayout(chunkSize: chunkSize).isArea(chunkSize.wholeChunks(in: size))
    }

    private static func bytes(
        chunks: UInt64, of chunkSize: ChunkSize
    ) throws(ExceptionStoreError) -> ByteCount {
        guard let bytes = chunkSize.offset(of: chunks), bytes <= UInt64(Int64.max) else {
            throw .sizeOverflow
        }
        return ByteCount(bytes)
    }
}

public import Block

/// Writes an exception store that is whole from its beginning, as if the kernel had captured every
/// chunk in the order in which they are given.
///
/// New chunks are handed out upwards without a hole, the entries lie in the same order, and an empty
/// area follows the last full one. So the store never ends on the boundary where the kernel looks for
/// an area that isn't there.
public struct StoreWriter: ~Copyable {
    private let store: OwnedDescriptor
    private let layout: AreaLayout
    private let exceptions: UInt64
    /// Bytes given so far; stored chunks are filled one after another.
    private var written: UInt64 = 0
    /// The entries of the area that is being filled.
    private var area: [UInt8] = []
    private var lastOriginChunk: UInt64?

    /// - Parameters:
    ///   - store: A file that was just made: what isn't written has to be zeros. It gets the length
    ///     that it needs.
    ///   - chunkSize: The store's chunk size.
    ///   - exceptions: How many chunks there will be.
    /// - Throws: `sizeOverflow`, `system`.
    public init(
        _ store: consuming OwnedDescriptor, chunkSize: ChunkSize, exceptions: UInt64
    ) throws(ExceptionStoreError) {
        self.layout = AreaLayout(chunkSize: chunkSize)
        self.exceptions = exceptions
        guard let data = chunkSize.offset(of: exceptions) else { throw .sizeOverflow }
        let size = try StoreGeometry.bytesNeeded(
            originSize: ByteCount(data), chunkSize: chunkSize)
        do {
            try store.resize(to: size)
        } catch {
            throw .system(error)
        }
        self.store = store
    }

    /// Adds bytes of the origin.
    ///
    /// - Parameters:
    ///   - bytes: Chunks, or a part of one that the next bytes go on with. Only the last chunk of all,
    ///     at the origin's end, may stay short.
    ///   - originOffset: Where on the origin they belong, behind everything that was added before.
    /// - Throws: `outOfOrder`, `system`.
    public mutating func append(
        _ bytes: Span<UInt8>, at originOffset: UInt64
    ) throws(ExceptionStoreError) {
        let shift = UInt64(layout.chunkSize.byteShift)
        let perArea = layout.chunkSize.exceptionsPerArea
        guard (originOffset ^ written) & (layout.chunkSize.bytes.bytes - 1) == 0 else {
            throw .outOfOrder(originOffset: originOffset)
        }
        var done = 0
        while done < bytes.count {
            // One area's data is in a row; behind it is the next area.
            let areaEnd = (written >> shift / perArea + 1) * perArea << shift
            let length = min(bytes.count - done, Int(clamping: areaEnd - written))
            try begin(
                originOffset + UInt64(done)..<originOffset + UInt64(done) + UInt64(length))
            let start = storedChunk(written >> shift) << shift
            let inChunk = written & (layout.chunkSize.bytes.bytes - 1)
            do {
                try store.write(bytes.extracting(done..<done + length), at: start + inChunk)
            } catch {
                throw .system(error)
            }
            written += UInt64(length)
            done += length
            if written == areaEnd { try writeArea() }
        }
    }

    /// The chunk of the store that exception `number` has; nothing overflows, since the whole store
    /// has a length.
    private func storedChunk(_ number: UInt64) -> UInt64 {
        2 + number + number / layout.chunkSize.exceptionsPerArea
    }

    /// Adds an entry for every chunk that begins in this range of the origin.
    private mutating func begin(_ range: Range<UInt64>) throws(ExceptionStoreError) {
        let shift = UInt64(layout.chunkSize.byteShift)
        let mask = layout.chunkSize.bytes.bytes - 1
        let first = (range.lowerBound + mask) >> shift
        guard first << shift < range.upperBound else { return }
        let number = (written + mask) >> shift
        for chunk in first...(range.upperBound - 1) >> shift {
            if let last = lastOriginChunk, last >= chunk {
                throw .outOfOrder(originOffset: chunk << shift)
            }
            guard number + (chunk - first) < exceptions else {
                throw .tooManyExceptions(limit: exceptions)
            }
            lastOriginChunk = chunk
            let entry = ExceptionEntry(
                originChunk: chunk, storedChunk: storedChunk(number + (chunk - first)))
            let place = area.count
            area.append(contentsOf: repeatElement(0, count: ExceptionEntry.size))
            var span = area.mutableSpan
            _ = entry.write(into: &span, at: place)
        }
    }

    /// Writes the whole area that the last entry is in, so that merging, which empties it, needs no
    /// more room than there is.
    private mutating func writeArea() throws(ExceptionStoreError) {
        let chunkBytes = layout.chunkSize.bytes.bytes
        let last = (written - 1) >> UInt64(layout.chunkSize.byteShift)
        guard let chunk = layout.chunk(ofArea: last / layout.chunkSize.exceptionsPerArea),
            let start = layout.chunkSize.offset(of: chunk)
        else { throw .sizeOverflow }
        do {
            try store.write(area.span, at: start)
        } catch {
            throw .system(error)
        }
        try store.zero(start + UInt64(area.count)..<start + chunkBytes)
        area.removeAll(keepingCapacity: true)
    }

    /// Writes the area that ends the list, behind a full one; the kernel does so too, and a hole in
    /// its place means that the store was cut short.
    private func zeroArea(_ number: UInt64) throws(ExceptionStoreError) {
        guard let chunk = layout.chunk(ofArea: number),
            let start = layout.chunkSize.offset(of: chunk)
        else { throw .sizeOverflow }
        try store.zero(start..<start + layout.chunkSize.bytes.bytes)
    }

    /// Writes what is left and the header, and waits until all is on stable storage.
    ///
    /// - Throws: `tooFewExceptions`, `system`.
    public consuming func finish() throws(ExceptionStoreError) {
        let count = layout.chunkSize.chunks(covering: ByteCount(written))
        guard count == exceptions else { throw .tooFewExceptions(count, wanted: exceptions) }
        if area.isEmpty {
            try zeroArea(count / layout.chunkSize.exceptionsPerArea)
        } else {
            try writeArea()
        }
        var header = [UInt8](repeating: 0, count: StoreHeader.size)
        var span = header.mutableSpan
        _ = StoreHeader(chunkSize: layout.chunkSize).write(into: &span)
        do {
            try store.write(header.span, at: 0)
            try store.synchronize()
        } catch {
            throw .system(error)
        }
    }
}

/// Where a store's metadata lies: after the header, an area of E exceptions before every E chunks
/// of data (`area_location` and `skip_metadata` in dm-snap-persistent.c).
public struct AreaLayout: Hashable, Sendable {
    /// The store's chunk size.
    public let chunkSize: ChunkSize

    /// The layout of stores with this chunk size.
    public init(chunkSize: ChunkSize) {
        self.chunkSize = chunkSize
    }

    /// From one area to the next, in chunks: the area and its data.
    public var stride: UInt64 { chunkSize.exceptionsPerArea + 1 }

    /// The chunk that area `number` is in, `1 + number × (E + 1)`; nil where it overflows.
    public func chunk(ofArea number: UInt64) -> UInt64? {
        let (product, tooLarge) = number.multipliedReportingOverflow(by: stride)
        let (chunk, overflow) = product.addingReportingOverflow(1)
        return tooLarge || overflow ? nil : chunk
    }

    /// Whether an area is in this chunk.
    public func isArea(_ chunk: UInt64) -> Bool {
        chunk >= 1 && (chunk - 1).isMultiple(of: stride)
    }

    /// Whether old contents can be in this chunk: neither the header nor an area is.
    public func isData(_ chunk: UInt64) -> Bool {
        chunk != 0 && !isArea(chunk)
    }

    /// The first chunk after `chunk` that holds data; nil where it overflows.
    ///
    /// What the kernel hands out next after loading a store whose highest new chunk is `chunk`.
    public func dataChunk(after chunk: UInt64) -> UInt64? {
        let (next, overflow) = chunk.addingReportingOverflow(1)
        if overflow { return nil }
        if isData(next) { return next }
        return dataChunk(after: next)
    }

    /// How many areas `exceptions` take on disk, with the one that marks the end.
    ///
    /// A full area is followed by an empty one, for the kernel zeroes the next area before it
    /// commits the entry that fills one.
    public func areas(forExceptions exceptions: UInt64) -> UInt64 {
        exceptions / chunkSize.exceptionsPerArea + 1
    }
}

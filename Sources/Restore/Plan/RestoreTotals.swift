/// How much a plan puts back.
public struct RestoreTotals: Hashable, Sendable {
    /// The sources in the chain.
    public var sources: Int
    /// The exceptions in all of them; a chunk that several have counts in each.
    public var chunks: UInt64
    /// The extents that are read.
    public var extents: UInt64
    /// The bytes that are written to the target.
    public var bytes: UInt64

    /// Totals of a plan; those of an empty one, if not told otherwise.
    public init(sources: Int, chunks: UInt64 = 0, extents: UInt64 = 0, bytes: UInt64 = 0) {
        self.sources = sources
        self.chunks = chunks
        self.extents = extents
        self.bytes = bytes
    }
}

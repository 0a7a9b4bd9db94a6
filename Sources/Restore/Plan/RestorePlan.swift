public import Block
public import ExceptionStore

/// What a restore from a chain of sources puts where.
///
/// The union of all sources: of a chunk that several have, the earliest contents win.
public struct RestorePlan: Sendable {
    /// The sources, the oldest first.
    public let sources: [any ChunkSource]
    /// The size in bytes that all sources say the origin has.
    public let originSize: ByteCount
    /// How much is to be put back.
    public let totals: RestoreTotals
    /// What is to be put back, in the origin's order.
    public let extents: ExtentSequence

    /// Plans a restore; reads nothing but the tables in memory.
    ///
    /// - Parameter sources: The session to go back to, then all later ones in their order.
    /// - Throws: `noSources`, `originSizesDiffer`.
    public init(sources: [any ChunkSource]) throws(RestoreError) {
        guard let oldest = sources.first else { throw RestoreError(.noSources) }
        for (index, source) in sources.enumerated() where source.originSize != oldest.originSize {
            throw RestoreError(
                .originSizesDiffer(
                    SourceName(index: index, path: source.path), found: source.originSize,
                    oldest: oldest.originSize))
        }
        self.sources = sources
        self.originSize = oldest.originSize
        self.extents = ExtentSequence(tables: sources.map { $0.exceptions })
        var totals = RestoreTotals(sources: sources.count)
        for source in sources { totals.chunks += UInt64(source.exceptions.count) }
        for extent in extents {
            totals.extents += 1
            totals.bytes += extent.length
        }
        self.totals = totals
    }
}

extension RestorePlan {
    /// In how many of the origin's chunks of that size something is put back.
    public func chunks(of size: ChunkSize) -> UInt64 {
        let bytes = size.bytes.bytes
        var count: UInt64 = 0
        var next: UInt64 = 0
        for extent in extents {
            let first = max(extent.originOffset / bytes, next)
            next = (extent.originEnd - 1) / bytes + 1
            if next > first { count += next - first }
        }
        return count
    }

    /// What is put back, whatever from: as few ranges of the origin as can be.
    public var ranges: [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        for extent in extents {
            if let last = ranges.last, last.upperBound == extent.originOffset {
                ranges[ranges.count - 1] = last.lowerBound..<extent.originEnd
            } else {
                ranges.append(extent.originOffset..<extent.originEnd)
            }
        }
        return ranges
    }
}

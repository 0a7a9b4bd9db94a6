/// Chunks of the origin, for reports and messages.
public struct ChunkList: Hashable, Sendable {
    /// Ranges of chunk numbers, ascending.
    public private(set) var ranges: [ClosedRange<UInt64>] = []

    /// No chunks.
    public init() {}

    /// Adds a chunk; chunks ascend, and one that was just added is not added again.
    public mutating func append(_ chunk: UInt64) {
        if chunk == ranges.last?.upperBound { return }
        append(chunk...chunk)
    }

    /// Adds chunks behind those that there are.
    mutating func append(_ chunks: ClosedRange<UInt64>) {
        if let last = ranges.last, last.upperBound < chunks.lowerBound,
            chunks.lowerBound - last.upperBound == 1
        {
            ranges[ranges.count - 1] = last.lowerBound...chunks.upperBound
        } else {
            ranges.append(chunks)
        }
    }
}

extension ChunkList: CustomStringConvertible {
    /// The first eight ranges, and how many more there are.
    public var description: String {
        if ranges.isEmpty { return "no chunks" }
        let shown = ranges.prefix(8).map {
            $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)–\($0.upperBound)"
        }
        let more = ranges.count - shown.count
        let single = ranges.count == 1 && ranges[0].count == 1
        return (single ? "chunk " : "chunks ") + shown.joined(separator: ", ")
            + (more > 0 ? " and \(more) more ranges" : "")
    }
}

internal import Block
public import ExceptionStore

/// Bytes of the origin that a source should have and can't give.
public struct DamagedRange: Sendable {
    /// The bytes on the origin.
    public let range: ByteRange
    /// Who should have them.
    public let source: SourceName
    /// Where in the source's space of stored chunks they should be.
    public let storedOffset: UInt64
    /// The size of the source's chunks.
    public let chunkSize: ChunkSize
    /// Why it can't give them.
    public let cause: ChunkReadError

    /// The numbers of the origin's chunks that the bytes are in, counted in the source's chunks.
    public var chunks: ClosedRange<UInt64> {
        let size = chunkSize.bytes.bytes
        return range.bytes.lowerBound / size...(range.bytes.upperBound - 1) / size
    }
}

/// All that can't be read of what a plan puts back, in the origin's order, joined where ranges touch
/// and have one cause.
public struct Damage: Sendable {
    /// More separate ranges than these are counted only: it bounds the memory.
    public static let mostListed = 1 << 18

    /// How many ranges there are, listed or not.
    public private(set) var rangeCount: UInt64 = 0
    /// How many bytes are lost, listed or not.
    public private(set) var bytes: UInt64 = 0

    private struct Entry: Sendable {
        var range: Range<UInt64>
        var storedOffset: UInt64
        var cause: Int32
    }

    private struct Cause: Sendable {
        let source: SourceName
        let chunkSize: ChunkSize
        let error: ChunkReadError
    }

    private var entries: [Entry] = []
    private var causes: [Cause] = []
    private var known: [String: Int32] = [:]
    /// Where the last range ends, listed or not.
    private var end: (offset: UInt64, cause: Int32)?
    private let limit: Int

    init(limit: Int = Self.mostListed) {
        self.limit = limit
    }

    /// Whether every range is listed; only then can they be left out.
    public var isComplete: Bool { UInt64(entries.count) == rangeCount }

    /// Adds the next range in the origin's order.
    mutating func append(_ failure: ReadFailure, of source: any ChunkSource) {
        let extent = failure.extent
        bytes += extent.length
        let cause = self.cause(failure, of: source)
        defer { end = (extent.originEnd, cause) }
        if let end, end.offset == extent.originOffset, end.cause == cause {
            if isComplete, let last = entries.indices.last {
                entries[last].range = entries[last].range.lowerBound..<extent.originEnd
            }
            return
        }
        if isComplete, entries.count < limit {
            entries.append(
                Entry(
                    range: extent.range.bytes, storedOffset: extent.storedOffset, cause: cause))
        }
        rangeCount += 1
    }

    private mutating func cause(_ failure: ReadFailure, of source: any ChunkSource) -> Int32 {
        let key: String
        if case .ended = failure.cause {
            key = "\(failure.extent.source)"
        } else {
            key = "\(failure.extent.source) \(failure.cause)"
        }
        if let cause = known[key] { return cause }
        // Past the limit one that is like it has to do.
        guard causes.count < limit else { return Int32(causes.count - 1) }
        let cause = Int32(causes.count)
        causes.append(
            Cause(
                source: SourceName(index: failure.extent.source, path: source.path),
                chunkSize: source.chunkSize, error: failure.cause))
        known[key] = cause
        return cause
    }

    /// The listed ranges that touch this one, as they are on the origin.
    func ranges(touching span: ByteRange) -> some Sequence<Range<UInt64>> {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = low + (high - low) / 2
            if entries[middle].range.upperBound <= span.bytes.lowerBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return entries[low...].lazy.map(\.range).prefix {
            $0.lowerBound < span.bytes.upperBound
        }
    }
}

extension Damage: RandomAccessCollection {
    /// The first listed range's place.
    public var startIndex: Int { 0 }

    /// How many ranges are listed.
    public var endIndex: Int { entries.count }

    /// A range, and why it is lost.
    public subscript(position: Int) -> DamagedRange {
        let entry = entries[position]
        let cause = causes[Int(entry.cause)]
        return DamagedRange(
            range: ByteRange(entry.range), source: cause.source, storedOffset: entry.storedOffset,
            chunkSize: cause.chunkSize, cause: cause.error)
    }
}

extension Damage: CustomStringConvertible {
    /// How much is lost, the first eight ranges, and how many more there are.
    public var description: String {
        let shown = prefix(8).map { "\($0)" }.joined(separator: "; ")
        let more = rangeCount - UInt64(Swift.min(count, 8))
        return "\(bytes) bytes can't be read: \(shown)" + (more > 0 ? "; and \(more) more" : "")
    }
}

extension DamagedRange: CustomStringConvertible {
    /// The chunks, the source and the cause.
    public var description: String {
        let numbers =
            chunks.count == 1
            ? "chunk \(chunks.lowerBound)" : "chunks \(chunks.lowerBound)–\(chunks.upperBound)"
        return "\(numbers) in \(source) (\(cause))"
    }
}

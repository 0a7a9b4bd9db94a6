internal import ExceptionStore
internal import HeapModule

/// One pass over a chain's tables: each byte of the origin goes to the oldest source that has it.
///
/// Sources may have chunks of different sizes, so it works on bytes. Extents come in order, but
/// not joined as far as could be.
struct ChainMerge {
    private var cursors: [SourceCursor]
    /// Sources whose run begins behind `position`.
    private var waiting = Heap<Start>()
    /// Sources whose run has begun; it may have ended, too.
    private var begun = Heap<Int>()
    private var position: UInt64 = 0

    private struct Start: Comparable {
        let offset: UInt64
        let source: Int

        static func < (left: Start, right: Start) -> Bool { left.offset < right.offset }
    }

    init(_ tables: [ExceptionTable]) {
        cursors = tables.map(SourceCursor.init)
        for source in cursors.indices { advance(source) }
    }

    mutating func next() -> RestoreExtent? {
        while true {
            admitBegun()
            dropEnded()
            if let source = begun.min {
                // Up to where another source's run begins: it may be an older one's.
                return take(
                    source, to: min(cursors[source].range.upperBound, nextStart ?? .max))
            }
            guard let start = nextStart else { return nil }
            position = max(position, start)
        }
    }

    private var nextStart: UInt64? { waiting.min?.offset }

    private mutating func advance(_ source: Int) {
        // A run that ends before `position` was hidden by an older source.
        while cursors[source].advance() {
            guard cursors[source].range.upperBound > position else { continue }
            waiting.insert(Start(offset: cursors[source].range.lowerBound, source: source))
            return
        }
    }

    private mutating func admitBegun() {
        while let start = waiting.min, start.offset <= position {
            waiting.removeMin()
            begun.insert(start.source)
        }
    }

    private mutating func dropEnded() {
        while let source = begun.min, cursors[source].range.upperBound <= position {
            begun.removeMin()
            advance(source)
            admitBegun()
        }
    }

    private mutating func take(_ source: Int, to end: UInt64) -> RestoreExtent {
        let extent = RestoreExtent(
            originOffset: position, length: end - position, source: source,
            storedOffset: cursors[source].storedOffset
                + (position - cursors[source].range.lowerBound))
        position = end
        return extent
    }
}

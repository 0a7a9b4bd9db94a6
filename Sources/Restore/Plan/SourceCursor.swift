internal import Block
internal import ExceptionStore

/// A source's runs as ranges of bytes on the origin, cut at its end.
struct SourceCursor {
    /// The run at which the cursor stands.
    private(set) var range: Range<UInt64> = 0..<0
    /// Where that run's first byte is in the source.
    private(set) var storedOffset: UInt64 = 0

    private let shift: UInt64
    private let originSize: UInt64
    private var runs: ExceptionRuns.Iterator

    init(_ table: ExceptionTable) {
        self.shift = UInt64(table.chunkSize.byteShift)
        self.originSize = table.originSize.bytes
        self.runs = table.runs.makeIterator()
    }

    /// Goes on to the next run; false after the last.
    ///
    /// Nothing overflows but the end of the last chunk: a table's chunks begin before the origin's
    /// end.
    mutating func advance() -> Bool {
        guard let run = runs.next() else { return false }
        let start = run.originChunk << shift
        let (end, overflow) = start.addingReportingOverflow(run.count << shift)
        // What a short last chunk keeps behind the origin's end is rubbish.
        range = start..<(overflow ? originSize : min(end, originSize))
        storedOffset = run.storedChunk << shift
        return true
    }
}

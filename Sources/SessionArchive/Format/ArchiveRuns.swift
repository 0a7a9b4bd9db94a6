/// Chunks that follow each other in the origin, all with data or all zero.
struct ArchiveRun: Hashable, Sendable {
    /// The first chunk's number in the origin.
    var originChunk: UInt64
    /// How many chunks; never 0.
    var count: UInt64
    /// Whether their contents are zeros and not in any block.
    var isZero: Bool
}

/// Counts runs, two that touch and are of one kind as one.
struct RunCount {
    private(set) var count: UInt64 = 0
    private var last: ArchiveRun?

    mutating func add(_ run: ArchiveRun) {
        if let last, last.isContinued(by: run) {
            self.last?.count += run.count
        } else {
            count += 1
            last = run
        }
    }
}

extension ArchiveRun {
    /// Whether the other one goes on where this ends, so that their contents do too.
    func isContinued(by next: ArchiveRun) -> Bool {
        isZero == next.isZero && originChunk + count == next.originChunk
    }
}

/// Turns chunks into the contents of RUNS sections.
struct RunEncoder {
    /// The contents of the section that is being filled.
    private(set) var bytes: [UInt8] = []
    private var run: ArchiveRun?
    /// The end of the last run in this section.
    private var end: UInt64 = 0

    /// Whether the section should be closed before another chunk is added.
    var isFull: Bool { bytes.count > ArchiveFormat.indexPiece - 4 * Varint.longest }

    /// Adds the next chunk; chunks ascend.
    mutating func append(_ originChunk: UInt64, isZero: Bool) {
        if let run, run.isZero == isZero, run.originChunk + run.count == originChunk {
            self.run?.count += 1
        } else {
            flush()
            run = ArchiveRun(originChunk: originChunk, count: 1, isZero: isZero)
        }
    }

    /// Closes the section and gives its contents.
    mutating func take() -> [UInt8] {
        flush()
        end = 0
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes
    }

    /// Whether there is nothing to write.
    var isEmpty: Bool { bytes.isEmpty && run == nil }

    private mutating func flush() {
        guard let run else { return }
        Varint.append(run.originChunk - end, to: &bytes)
        Varint.append((run.count - 1) << 1 | (run.isZero ? 1 : 0), to: &bytes)
        end = run.originChunk + run.count
        self.run = nil
    }
}

/// Reads the contents of RUNS sections, and checks that runs ascend and lie inside the origin.
struct RunDecoder {
    private let originChunks: UInt64
    private let limit: (data: UInt64, zero: UInt64)
    /// The end of the last run of all sections.
    private var end: UInt64 = 0
    /// The chunks so far.
    private(set) var dataChunks: UInt64 = 0
    private(set) var zeroChunks: UInt64 = 0

    /// - Parameters:
    ///   - originChunks: How many chunks the origin has.
    ///   - dataChunks: There must not be more with data than this,
    ///   - zeroChunks: nor more without than this.
    init(originChunks: UInt64, dataChunks: UInt64, zeroChunks: UInt64) {
        self.originChunks = originChunks
        limit = (dataChunks, zeroChunks)
    }

    /// Visits the runs of the next section.
    mutating func decode<Failure: Error>(
        _ contents: Span<UInt8>, visit: (ArchiveRun) throws(Failure) -> Void
    ) throws(Failure) -> ArchiveFault? {
        var offset = 0
        var place: UInt64 = 0
        while offset < contents.count {
            guard let gap = Varint.read(from: contents, at: &offset),
                let word = Varint.read(from: contents, at: &offset)
            else { return .number }
            let count = (word >> 1) + 1
            let (start, wraps) = place.addingReportingOverflow(gap)
            guard !wraps, start >= end, start < originChunks, count <= originChunks - start else {
                return .runs
            }
            let run = ArchiveRun(originChunk: start, count: count, isZero: word & 1 == 1)
            guard add(run) else { return .runs }
            place = start + count
            end = place
            try visit(run)
        }
        return nil
    }

    /// Neither sum overflows: both are at most the origin's chunks.
    private mutating func add(_ run: ArchiveRun) -> Bool {
        if run.isZero {
            zeroChunks += run.count
        } else {
            dataChunks += run.count
        }
        return zeroChunks <= limit.zero && dataChunks <= limit.data
    }
}

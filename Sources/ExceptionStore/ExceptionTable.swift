public import Block

/// The chunks of the origin whose old contents are kept, in the origin's order.
///
/// What holds of every table: the origin's chunks ascend without duplicates and begin before the
/// origin's end; every stored chunk's range of bytes can be computed without overflow. It takes 16
/// bytes an exception, or 24 a run where it was made of runs.
public struct ExceptionTable: Sendable {
    /// The size of the chunks that the entries count.
    public let chunkSize: ChunkSize
    /// The origin's size in bytes; its last chunk may be short.
    public let originSize: ByteCount
    /// The entries in ascending order of `originChunk`.
    public let entries: ExceptionEntries

    /// Sorts the entries and checks them.
    ///
    /// - Parameters:
    ///   - entries: Entries in any order. Two may share their stored chunk: a form of the data
    ///     that keeps equal chunks once can say so. In a kernel's store that is an error, and it
    ///     is checked there.
    ///   - chunkSize: The size of the chunks.
    ///   - originSize: The origin's size in bytes.
    ///   - storedChunks: Every stored chunk's number is below this.
    /// - Throws: `entry` (with the number that it has after sorting), `duplicateOriginChunk`,
    ///   `sizeOverflow`.
    public init(
        _ entries: consuming [ExceptionEntry], chunkSize: ChunkSize, originSize: ByteCount,
        storedChunks: UInt64
    ) throws(ExceptionStoreError) {
        guard chunkSize.offset(of: storedChunks) != nil else { throw .sizeOverflow }
        entries.sort { $0.originChunk < $1.originChunk }
        let originChunks = chunkSize.chunks(covering: originSize)
        var previous: UInt64?
        for (number, entry) in entries.enumerated() {
            if entry.originChunk == previous { throw .duplicateOriginChunk(entry.originChunk) }
            if entry.originChunk >= originChunks {
                throw .entry(
                    entry, number: UInt64(number), .originChunkPastEnd(originChunks: originChunks))
            }
            if entry.storedChunk >= storedChunks {
                throw .entry(
                    entry, number: UInt64(number), .storedChunkPastEnd(storeChunks: storedChunks))
            }
            previous = entry.originChunk
        }
        self.chunkSize = chunkSize
        self.originSize = originSize
        self.entries = ExceptionEntries(entries)
    }

    /// Checks runs, and keeps them as they are: whoever names many chunks with few bytes gets a
    /// small table.
    ///
    /// - Parameters:
    ///   - runs: In the origin's order, without overlap; none continues the one before it, and none
    ///     is empty.
    ///   - chunkSize: The size of the chunks.
    ///   - originSize: The origin's size in bytes.
    ///   - storedChunks: Every stored chunk's number is below this, and so is the number of entries.
    /// - Throws: `entry`, `duplicateOriginChunk`, `sizeOverflow`.
    public init(
        runs: [ExceptionRun], chunkSize: ChunkSize, originSize: ByteCount,
        storedChunks: UInt64
    ) throws(ExceptionStoreError) {
        guard chunkSize.offset(of: storedChunks) != nil else { throw .sizeOverflow }
        let originChunks = chunkSize.chunks(covering: originSize)
        var end: UInt64 = 0
        var count: UInt64 = 0
        for run in runs {
            let first = ExceptionEntry(
                originChunk: run.originChunk, storedChunk: run.storedChunk)
            guard run.originChunk >= end else { throw .duplicateOriginChunk(run.originChunk) }
            guard run.originChunk < originChunks, run.count <= originChunks - run.originChunk else {
                throw .entry(
                    first, number: count, .originChunkPastEnd(originChunks: originChunks))
            }
            guard run.storedChunk < storedChunks, run.count <= storedChunks - run.storedChunk else {
                throw .entry(
                    first, number: count, .storedChunkPastEnd(storeChunks: storedChunks))
            }
            end = run.originChunk + run.count
            // At most the origin's chunks: no overflow.
            count += run.count
        }
        self.chunkSize = chunkSize
        self.originSize = originSize
        self.entries = ExceptionEntries(runs: runs)
    }

    /// The number of exceptions, at no cost.
    ///
    /// Of a store it is at most `(allocated − metadata) / chunk` by the kernel's status line, which
    /// counts chunks that were handed out and never committed, too.
    public var count: Int { entries.count }

    /// The chunk with the old contents of `originChunk`; nil where there is no exception for it.
    public func storedChunk(for originChunk: UInt64) -> UInt64? {
        let index = index(from: originChunk)
        guard index < entries.count, entries[index].originChunk == originChunk else { return nil }
        return entries[index].storedChunk
    }

    /// Whether any of these bytes of the origin is in a chunk that is kept.
    public func touches(_ bytes: Range<UInt64>) -> Bool {
        guard !bytes.isEmpty else { return false }
        let index = index(from: bytes.lowerBound >> UInt64(chunkSize.byteShift))
        return index < entries.count
            && entries[index].originChunk <= (bytes.upperBound - 1) >> UInt64(chunkSize.byteShift)
    }

    /// The first entry of this chunk of the origin or of one behind it.
    private func index(from originChunk: UInt64) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = low + (high - low) / 2
            if entries[middle].originChunk < originChunk {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Where the highest stored chunk ends, in bytes from where they are counted; 0 of an empty table.
    package var storedEnd: UInt64 {
        let shift = UInt64(chunkSize.byteShift)
        return runs.reduce(0) { max($0, ($1.storedChunk + $1.count) << shift) }
    }

    /// The entries as runs of chunks that follow each other in the origin and where they are kept.
    public var runs: ExceptionRuns { ExceptionRuns(entries: entries) }

    /// The same from the entry with this index on.
    package func runs(from index: Int) -> ExceptionRuns {
        ExceptionRuns(entries: entries, start: index)
    }
}

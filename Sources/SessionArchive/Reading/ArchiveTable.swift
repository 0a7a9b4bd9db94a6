internal import Block
internal import ExceptionStore

extension ArchiveFile {
    /// The table of the archive's chunks, in the smaller of its two forms.
    ///
    /// The runs were checked when the file was opened; the sums are those of the footer.
    func exceptionTable() throws(ArchiveError) -> ExceptionTable {
        let count = footer.dataChunks + footer.zeroChunks
        let originSize = ByteCount(header.originSize)
        do {
            guard prefersRuns else {
                return try ExceptionTable(
                    entries(), chunkSize: chunkSize, originSize: originSize, storedChunks: count)
            }
            return try ExceptionTable(
                runs: joinedRuns(), chunkSize: chunkSize, originSize: originSize,
                storedChunks: count)
        } catch let error as ArchiveError {
            throw error
        } catch {
            throw .damaged(.index, .runs)
        }
    }

    private func joinedRuns() throws(ArchiveError) -> [ExceptionRun] {
        var joined: [ExceptionRun] = []
        joined.reserveCapacity(Int(clamping: runs))
        try forEachNumberedRun { run in
            guard let last = joined.last, last.originChunk + last.count == run.originChunk,
                last.storedChunk + last.count == run.storedChunk
            else { return joined.append(run) }
            joined[joined.count - 1] = ExceptionRun(
                originChunk: last.originChunk, storedChunk: last.storedChunk,
                count: last.count + run.count)
        }
        return joined
    }

    private func entries() throws(ArchiveError) -> [ExceptionEntry] {
        var entries: [ExceptionEntry] = []
        entries.reserveCapacity(Int(clamping: footer.dataChunks + footer.zeroChunks))
        try forEachNumberedRun { run in
            for index in 0..<run.count {
                entries.append(
                    ExceptionEntry(
                        originChunk: run.originChunk + index,
                        storedChunk: run.storedChunk + index))
            }
        }
        return entries
    }

    /// Numbers the chunks of the runs: those with data from 0, those of zeros behind them.
    private func forEachNumberedRun(
        _ visit: (ExceptionRun) -> Void
    ) throws(ArchiveError) {
        var data: UInt64 = 0
        var zero = footer.dataChunks
        try forEachRun { run in
            visit(
                ExceptionRun(
                    originChunk: run.originChunk, storedChunk: run.isZero ? zero : data,
                    count: run.count))
            if run.isZero { zero += run.count } else { data += run.count }
        }
    }
}

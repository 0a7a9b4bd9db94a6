/// Chunks that follow each other both in the origin and where they are kept: one read.
public struct ExceptionRun: Hashable, Sendable {
    /// The first chunk's number in the origin.
    public let originChunk: UInt64
    /// The first chunk's number where it is kept.
    public let storedChunk: UInt64
    /// How many chunks; never 0.
    public let count: UInt64

    /// A run, unchecked.
    public init(originChunk: UInt64, storedChunk: UInt64, count: UInt64) {
        self.originChunk = originChunk
        self.storedChunk = storedChunk
        self.count = count
    }

    /// What is left of the run without its first chunks.
    func dropFirst(_ dropped: UInt64) -> ExceptionRun {
        ExceptionRun(
            originChunk: originChunk + dropped, storedChunk: storedChunk + dropped,
            count: count - dropped)
    }
}

/// The longest runs of a table, in the origin's order, made one after another.
public struct ExceptionRuns: Sequence, Sendable {
    let entries: ExceptionEntries
    /// The index of the first entry that counts.
    var start = 0

    /// Starts at the first entry.
    public func makeIterator() -> Iterator { Iterator(entries, start: start) }

    /// A place in the list of runs.
    public struct Iterator: IteratorProtocol, Sendable {
        private let storage: ExceptionEntries.Storage
        /// The next entry, or the next run.
        private var index: Int
        /// How much of that run is not wanted.
        private var skipped: UInt64 = 0

        init(_ entries: ExceptionEntries, start: Int) {
            storage = entries.storage
            index = start
            guard case .runs(let list) = storage else { return }
            (index, skipped) = start < list.count ? list.place(of: start) : (list.runs.count, 0)
        }

        /// The next run; nil after the last.
        public mutating func next() -> ExceptionRun? {
            switch storage {
            case .entries(let entries):
                return next(in: entries)
            case .runs(let list):
                guard index < list.runs.count else { return nil }
                defer { (index, skipped) = (index + 1, 0) }
                return skipped == 0 ? list.runs[index] : list.runs[index].dropFirst(skipped)
            }
        }

        private mutating func next(in entries: [ExceptionEntry]) -> ExceptionRun? {
            guard index < entries.count else { return nil }
            let first = entries[index]
            var count = 1
            while index + count < entries.count,
                entries[index + count].originChunk - first.originChunk == UInt64(count),
                entries[index + count].storedChunk > first.storedChunk,
                entries[index + count].storedChunk - first.storedChunk == UInt64(count)
            {
                count += 1
            }
            index += count
            return ExceptionRun(
                originChunk: first.originChunk, storedChunk: first.storedChunk,
                count: UInt64(count))
        }
    }
}

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
}

/// The longest runs of a table, in the origin's order, made one after another.
public struct ExceptionRuns: Sequence, Sendable {
    let entries: [ExceptionEntry]

    /// Starts at the first entry.
    public func makeIterator() -> Iterator { Iterator(entries: entries) }

    /// A place in the list of runs.
    public struct Iterator: IteratorProtocol, Sendable {
        private let entries: [ExceptionEntry]
        private var index = 0

        init(entries: [ExceptionEntry]) {
            self.entries = entries
        }

        /// The next run; nil after the last.
        public mutating func next() -> ExceptionRun? {
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

/// The entries of a table, whether it keeps them one by one or as runs.
public struct ExceptionEntries: RandomAccessCollection, Sendable {
    enum Storage: Sendable {
        case entries([ExceptionEntry])
        case runs(RunList)
    }

    let storage: Storage

    init(_ entries: [ExceptionEntry]) {
        storage = .entries(entries)
    }

    init(runs: [ExceptionRun]) {
        storage = .runs(RunList(runs))
    }

    /// The first entry's index.
    public var startIndex: Int { 0 }

    /// The number of entries.
    public var endIndex: Int {
        switch storage {
        case .entries(let entries): entries.count
        case .runs(let list): list.count
        }
    }

    /// The entry with this index.
    public subscript(index: Int) -> ExceptionEntry {
        switch storage {
        case .entries(let entries): entries[index]
        case .runs(let list): list.entry(index)
        }
    }
}

extension ExceptionEntries: Equatable, ExpressibleByArrayLiteral {
    /// Whether both have the same entries, however they keep them.
    public static func == (left: ExceptionEntries, right: ExceptionEntries) -> Bool {
        left.elementsEqual(right)
    }

    /// These entries, unchecked.
    public init(arrayLiteral elements: ExceptionEntry...) {
        self.init(elements)
    }
}

/// Runs, with the entries in them counted.
struct RunList: Sendable {
    /// Every so many runs it is noted how many entries are before.
    private static let step = 64

    let runs: [ExceptionRun]
    let count: Int
    private let marks: [Int]

    init(_ runs: [ExceptionRun]) {
        var count = 0
        var marks: [Int] = []
        for (number, run) in runs.enumerated() {
            if number.isMultiple(of: Self.step) { marks.append(count) }
            count += Int(run.count)
        }
        self.runs = runs
        self.count = count
        self.marks = marks
    }

    /// The run with an entry, and which of its entries that is.
    func place(of index: Int) -> (run: Int, inside: UInt64) {
        precondition(index >= 0 && index < count, "no such entry")
        var low = 0
        var high = marks.count
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if marks[middle] <= index { low = middle } else { high = middle }
        }
        var run = low * Self.step
        var inside = UInt64(index - marks[low])
        while inside >= runs[run].count {
            inside -= runs[run].count
            run += 1
        }
        return (run, inside)
    }

    func entry(_ index: Int) -> ExceptionEntry {
        let (run, inside) = place(of: index)
        return ExceptionEntry(
            originChunk: runs[run].originChunk + inside,
            storedChunk: runs[run].storedChunk + inside)
    }
}

/// A set of small numbers, in a bit for each.
struct BitSet: Sendable {
    private var words: [UInt64]

    /// No number below `count` is in it.
    init(count: Int) {
        words = [UInt64](repeating: 0, count: (count + 63) / 64)
    }

    subscript(index: Int) -> Bool { words[index / 64] >> UInt64(index % 64) & 1 == 1 }

    mutating func insert(_ index: Int) {
        words[index / 64] |= 1 << UInt64(index % 64)
    }
}

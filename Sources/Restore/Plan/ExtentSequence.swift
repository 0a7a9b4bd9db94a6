internal import ExceptionStore

/// The extents of a plan in the origin's order, made one after another from the sources' tables.
///
/// They ascend, don't overlap, and none continues the one before it. Where several sources have
/// old contents of a byte the oldest source's are taken. Nothing is kept but one place in each
/// source, so that a plan takes no memory beyond the tables.
public struct ExtentSequence: Sequence, Sendable {
    let tables: [ExceptionTable]

    /// Starts at the origin's first byte.
    public func makeIterator() -> Iterator { Iterator(tables) }

    /// A place in the list of extents.
    public struct Iterator: IteratorProtocol {
        private var merge: ChainMerge
        private var held: RestoreExtent?

        init(_ tables: [ExceptionTable]) {
            merge = ChainMerge(tables)
            held = merge.next()
        }

        /// The next extent; nil after the last.
        public mutating func next() -> RestoreExtent? {
            guard var extent = held else { return nil }
            held = merge.next()
            while let next = held, extent.isContinued(by: next) {
                extent = extent.joined(with: next)
                held = merge.next()
            }
            return extent
        }
    }
}

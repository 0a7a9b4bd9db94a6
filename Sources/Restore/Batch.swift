/// Extents that fit into one buffer together, and so are read, checked and written together.
struct Batch: Sendable {
    /// An extent, and where in the buffer its bytes are.
    struct Piece: Sendable {
        let extent: RestoreExtent
        let slot: Range<Int>
    }

    /// In the origin's order, and in the same order in the buffer.
    fileprivate(set) var pieces: [Piece] = []
    fileprivate(set) var length = 0

    /// The pieces in the order in which it is best to read them: each source from front to back.
    var reads: [Piece] {
        pieces.sorted {
            ($0.extent.source, $0.extent.storedOffset) < ($1.extent.source, $1.extent.storedOffset)
        }
    }

    /// A range of the origin, and where in the buffer its bytes are.
    struct Write: Hashable, Sendable {
        var range: Range<UInt64>
        var slot: Range<Int>
    }

    /// The pieces joined where they touch on the origin, from whichever source they are.
    var writes: [Write] {
        var writes: [Write] = []
        for piece in pieces {
            let range = piece.extent.range.bytes
            if let last = writes.last, last.range.upperBound == range.lowerBound {
                writes[writes.count - 1] = Write(
                    range: last.range.lowerBound..<range.upperBound,
                    slot: last.slot.lowerBound..<piece.slot.upperBound)
            } else {
                writes.append(Write(range: range, slot: piece.slot))
            }
        }
        return writes
    }

    /// From the first byte on the origin to the last; there may be gaps between.
    var span: ByteRange {
        ByteRange(
            (pieces.first?.extent.originOffset ?? 0)..<(pieces.last?.extent.originEnd ?? 0))
    }
}

/// A plan's extents cut into batches, always in the same way.
struct BatchIterator: IteratorProtocol {
    private var extents: ExtentSequence.Iterator
    private var rest: RestoreExtent?
    private let capacity: Int

    init(_ extents: ExtentSequence, capacity: Int) {
        self.extents = extents.makeIterator()
        self.capacity = capacity
    }

    mutating func next() -> Batch? {
        var batch = Batch()
        while batch.length < capacity, let extent = rest ?? extents.next() {
            let length = min(extent.length, UInt64(capacity - batch.length))
            let slot = batch.length..<batch.length + Int(length)
            batch.pieces.append(
                Batch.Piece(extent: extent.part(after: 0, length: length), slot: slot))
            batch.length = slot.upperBound
            rest =
                length == extent.length
                ? nil : extent.part(after: length, length: extent.length - length)
        }
        return batch.pieces.isEmpty ? nil : batch
    }
}

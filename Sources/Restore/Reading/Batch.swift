/// Extents that fit into one buffer together, and so are read, checked and written together.
struct Batch: Sendable {
    /// An extent, and where in the buffer its bytes are.
    struct Piece: Hashable, Sendable {
        var extent: RestoreExtent
        /// Where the bytes begin in the buffer.
        var start: Int
        /// Its source can't give it: neither read nor written.
        var isDamaged = false

        var slot: Range<Int> { start..<start + Int(extent.length) }

        /// The piece of it that goes from one byte on the origin to another.
        func part(_ range: Range<UInt64>, isDamaged: Bool) -> Piece {
            let skipped = range.lowerBound - extent.originOffset
            return Piece(
                extent: extent.part(after: skipped, length: range.upperBound - range.lowerBound),
                start: start + Int(skipped), isDamaged: isDamaged)
        }
    }

    /// In the origin's order, and in the same order in the buffer.
    fileprivate(set) var pieces: [Piece] = []
    fileprivate(set) var length = 0

    /// A range of the origin, and where in the buffer its bytes are.
    struct Write: Hashable, Sendable {
        var range: Range<UInt64>
        var slot: Range<Int>
    }

    /// The undamaged pieces joined where they touch on the origin, from whichever source they are.
    ///
    /// - Parameter limit: No write is longer.
    func forEachWrite(atMost limit: Int, _ body: (Write) -> Void) {
        var start = 0
        while start < pieces.count {
            let first = pieces[start]
            var end = first.extent.originEnd
            var next = start + 1
            while next < pieces.count, pieces[next].extent.originOffset == end,
                pieces[next].isDamaged == first.isDamaged
            {
                end = pieces[next].extent.originEnd
                next += 1
            }
            start = next
            if first.isDamaged { continue }
            var offset = first.extent.originOffset
            var place = first.start
            while offset < end {
                let length = min(UInt64(limit), end - offset)
                body(
                    Write(range: offset..<offset + length, slot: place..<place + Int(length)))
                offset += length
                place += Int(length)
            }
        }
    }

    /// The parts of the buffer in which there is something undamaged, in order and joined.
    func forEachFilledPart(_ body: (Range<Int>) -> Void) {
        var part = 0..<0
        for piece in pieces where !piece.isDamaged {
            if part.upperBound == piece.start {
                part = part.lowerBound..<piece.slot.upperBound
            } else {
                if !part.isEmpty { body(part) }
                part = piece.slot
            }
        }
        if !part.isEmpty { body(part) }
    }

    /// The bytes that are written.
    var writtenLength: Int {
        pieces.reduce(0) { $0 + ($1.isDamaged ? 0 : $1.slot.count) }
    }

    /// From the first byte on the origin to the last; there may be gaps between.
    var span: ByteRange {
        ByteRange(
            (pieces.first?.extent.originOffset ?? 0)..<(pieces.last?.extent.originEnd ?? 0))
    }

    /// Cuts the pieces where damage begins and ends.
    ///
    /// - Parameter damage: Ranges of the origin, ascending.
    mutating func markDamaged(_ damage: some Sequence<Range<UInt64>>) {
        var damaged = damage.makeIterator()
        var hole = damaged.next()
        guard hole != nil else { return }
        var marked: [Piece] = []
        for piece in pieces {
            var rest = piece.extent.range.bytes
            while !rest.isEmpty {
                while let found = hole, found.upperBound <= rest.lowerBound {
                    hole = damaged.next()
                }
                let inside = hole?.clamped(to: rest) ?? rest.upperBound..<rest.upperBound
                let sound =
                    rest.lowerBound..<(inside.isEmpty ? rest.upperBound : inside.lowerBound)
                if !sound.isEmpty { marked.append(piece.part(sound, isDamaged: false)) }
                if !inside.isEmpty { marked.append(piece.part(inside, isDamaged: true)) }
                rest = (inside.isEmpty ? rest.upperBound : inside.upperBound)..<rest.upperBound
            }
        }
        pieces = marked
    }

    /// The index of the piece that has this byte of the buffer.
    func piece(at place: Int) -> Int {
        var low = 0
        var high = pieces.count
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if pieces[middle].start <= place { low = middle } else { high = middle }
        }
        return low
    }
}

/// A plan's extents cut into batches, always in the same way.
struct BatchIterator {
    private var extents: ExtentSequence.Iterator
    private var rest: RestoreExtent?
    private let capacity: Int

    init(_ extents: ExtentSequence, capacity: Int) {
        self.extents = extents.makeIterator()
        self.capacity = capacity
    }

    /// Makes the batch the next one, in the memory that it has; false after the last.
    ///
    /// Every batch is full but for the last.
    mutating func next(into batch: inout Batch) -> Bool {
        batch.pieces.removeAll(keepingCapacity: true)
        batch.length = 0
        while batch.length < capacity, let extent = rest ?? extents.next() {
            let length = min(extent.length, UInt64(capacity - batch.length))
            batch.pieces.append(
                Batch.Piece(extent: extent.part(after: 0, length: length), start: batch.length))
            batch.length += Int(length)
            rest =
                length == extent.length
                ? nil : extent.part(after: length, length: extent.length - length)
        }
        return !batch.pieces.isEmpty
    }
}

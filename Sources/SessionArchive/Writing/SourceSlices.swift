internal import Block
internal import ExceptionStore

/// A source's chunks, in the origin's order, cut into slices of one size: the unit of work.
///
/// A slice is as many chunks as fit into a block; where a chunk is larger than the largest block it
/// is a part of one. What a slice has depends on nothing but the source, so slices can be read in
/// any order by any thread.
struct SourceSlices: Sendable {
    /// The largest block that is made only because chunks are large.
    private static let largestForChunk: UInt64 = 4 << 20

    let source: any ChunkSource
    /// The size of all slices but the last, in bytes; a power of two.
    let size: Int
    /// How many slices there are.
    let count: UInt64
    /// The bytes in all slices.
    let total: UInt64
    private let shift: UInt64

    init(_ source: any ChunkSource, blockSize: Int) throws(ArchiveError) {
        self.source = source
        let chunk = source.chunkSize
        let size = max(UInt64(blockSize), min(chunk.bytes.bytes, Self.largestForChunk))
        guard let total = chunk.offset(of: UInt64(source.exceptions.count)) else {
            throw .damaged(.whole, .runs)
        }
        self.size = Int(size)
        self.total = total
        count = total / size + (total % size == 0 ? 0 : 1)
        shift = UInt64(chunk.byteShift)
    }

    /// Whether slices are whole chunks.
    var areWholeChunks: Bool { UInt64(size) >> shift > 0 }

    /// A slice's size in bytes.
    func length(of slice: UInt64) -> Int {
        Int(min(UInt64(size), total - slice * UInt64(size)))
    }

    /// The exceptions in a slice.
    func entries(of slice: UInt64) -> Range<Int> {
        let start = slice * UInt64(size)
        let end = start + UInt64(length(of: slice))
        return Int(start >> shift)..<Int((end - 1) >> shift) + 1
    }

    /// Whether a slice has an exception's first byte.
    func begins(_ slice: UInt64, _ entry: Int) -> Bool {
        UInt64(entry) << shift >= slice * UInt64(size)
    }

    /// The chunks of the origin in a slice.
    func chunks(of slice: UInt64) -> ChunkList {
        var chunks = ChunkList()
        for entry in entries(of: slice) {
            chunks.append(source.exceptions.entries[entry].originChunk)
        }
        return chunks
    }

    /// Fills the buffer, which is as long as the slice, with its contents.
    ///
    /// What a short last chunk keeps behind the origin's end is rubbish: zeros take its place.
    func read(_ slice: UInt64, into buffer: inout MutableSpan<UInt8>) throws(ArchiveError) {
        for piece in pieces(of: slice) {
            var rest = buffer._mutatingExtracting(piece.slot)
            if piece.valid < rest.count {
                var behind = rest._mutatingExtracting(piece.valid..<rest.count)
                behind.clear()
            }
            if piece.valid == 0 { continue }
            var valid = rest._mutatingExtracting(..<piece.valid)
            do {
                try source.read(into: &valid, at: piece.storedOffset)
            } catch {
                throw .source(chunks(of: piece), error)
            }
        }
    }

    /// Bytes that one read gets.
    private struct Piece {
        var storedOffset: UInt64
        /// Where they go in the slice.
        var slot: Range<Int>
        /// How many of them lie before the origin's end.
        var valid: Int
        var entries: Range<Int>
    }

    private func chunks(of piece: Piece) -> ChunkList {
        var chunks = ChunkList()
        for entry in piece.entries {
            chunks.append(source.exceptions.entries[entry].originChunk)
        }
        return chunks
    }

    /// The reads for a slice, in the order in which they lie in the source.
    private func pieces(of slice: UInt64) -> [Piece] {
        let table = source.exceptions
        let start = slice * UInt64(size)
        let end = start + UInt64(length(of: slice))
        var pieces: [Piece] = []
        var place = start
        while place < end {
            let index = Int(place >> shift)
            let entry = table.entries[index]
            let inside = place & ((1 << shift) - 1)
            let length = min((1 << shift) - inside, end - place)
            // Neither overflows: a table's chunks begin before the origin's end, and its stored
            // chunks' ranges can be computed.
            let offset = (entry.originChunk << shift) + inside
            let stored = (entry.storedChunk << shift) + inside
            let size = table.originSize.bytes
            let valid = Int(offset < size ? min(length, size - offset) : 0)
            let slot = Int(place - start)..<Int(place - start + length)
            if let last = pieces.last, last.valid == last.slot.count,
                last.storedOffset + UInt64(last.valid) == stored
            {
                pieces[pieces.count - 1].slot = last.slot.lowerBound..<slot.upperBound
                pieces[pieces.count - 1].valid += valid
                pieces[pieces.count - 1].entries = last.entries.lowerBound..<index + 1
            } else {
                pieces.append(
                    Piece(
                        storedOffset: stored, slot: slot, valid: valid, entries: index..<index + 1))
            }
            place += length
        }
        return pieces.sorted { $0.storedOffset < $1.storedOffset }
    }

    /// Takes the zero chunks out of a slice's contents.
    ///
    /// - Parameter length: The slice's length; made shorter by the chunks taken out.
    /// - Returns: For every chunk of the slice whether it is zero. A part of a chunk is never taken
    ///   out.
    func removeZeroChunks(
        from contents: inout MutableSpan<UInt8>, length: inout Int
    ) -> [Bool] {
        guard areWholeChunks else { return [false] }
        let chunkBytes = 1 << Int(shift)
        var zeros = [Bool](repeating: false, count: length / chunkBytes)
        var kept = 0
        for chunk in zeros.indices {
            let range = chunk * chunkBytes..<(chunk + 1) * chunkBytes
            zeros[chunk] = contents.span.extracting(range).isZero()
            if zeros[chunk] { continue }
            if kept < range.lowerBound { contents.move(range, to: kept) }
            kept += chunkBytes
        }
        length = kept
        return zeros
    }
}

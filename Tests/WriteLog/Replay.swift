public import Block
import StoreTesting

/// A logged device, brought from one power cut to the next.
public struct Replay: ~Copyable {
    /// What is durable, and what has been written besides.
    private struct State {
        var image: [UInt8]
        var cache: WriteCache
    }

    private let log: WriteLog
    private let file: OwnedDescriptor
    private let seed: UInt64
    private var shared: State
    private var separate: State
    private var next = 0

    /// - Parameters:
    ///   - file: the log that `log` was read from.
    ///   - base: the device's bytes when logging began.
    ///   - parts: the disks of cuts with separate caches.
    ///   - seed: of what becomes of the writes under way: the same one does the same to the same cut.
    public init(
        _ log: WriteLog, in file: consuming OwnedDescriptor, base: [UInt8],
        parts: [Range<UInt64>], seed: UInt64
    ) {
        self.log = log
        self.file = file
        self.seed = seed
        shared = State(image: base, cache: WriteCache(parts: []))
        separate = State(image: base, cache: WriteCache(parts: parts))
    }

    /// The device's bytes after a power cut.
    ///
    /// Cuts are asked for in the log's order: what has been replayed isn't taken back.
    public mutating func image(after cut: PowerCut) throws(SystemError) -> [UInt8] {
        let end = cut.inFlight == .torn ? cut.point : cut.point + 1
        precondition(end >= next, "cuts are asked for in the log's order")
        while next < end {
            for entry in shared.cache.add(log.entries[next]) {
                try Self.put(Piece(entry), of: file, in: &shared.image)
            }
            for entry in separate.cache.add(log.entries[next]) {
                try Self.put(Piece(entry), of: file, in: &separate.image)
            }
            next += 1
        }
        let state = cut.hasSeparateCaches ? separate : shared
        var image = state.image
        var random = SeededGenerator(seed: seed &+ UInt64(cut.point))
        for piece in pieces(of: cut, state.cache, &random) {
            try Self.put(piece, of: file, in: &image)
        }
        return image
    }

    /// Bytes of the device, and where in the log they are.
    private struct Piece {
        let target: Range<UInt64>
        let data: UInt64

        init(_ entry: WriteLog.Entry) {
            target = entry.target
            data = entry.data
        }

        init(_ entry: WriteLog.Entry, at offset: UInt64, length: UInt64) {
            let start = entry.target.lowerBound + offset
            target = start..<start + length
            data = entry.data + offset
        }
    }

    /// What is there though it was not durable.
    ///
    /// Between two flushes nothing tells which plain write was issued after which FUA write had ended.
    /// So all FUA writes up to the next flush are taken as durable: then any set of the plain ones can
    /// be there.
    private func pieces(
        of cut: PowerCut, _ cache: WriteCache, _ random: inout SeededGenerator
    ) -> [Piece] {
        switch cut.inFlight {
        case .lost: return []
        case .torn: return torn(log.entries[cut.point], &random)
        case .scattered:
            var pieces: [Piece] = []
            for entry in cache.writes + log.underWay(after: cut.point) {
                if entry.isDurable {
                    pieces.append(Piece(entry))
                    continue
                }
                switch Int.random(in: 0..<3, using: &random) {
                case 0: break
                case 1: pieces.append(Piece(entry))
                default: pieces += torn(entry, &random)
                }
            }
            return pieces
        }
    }

    /// The first sectors of a write, or any of them.
    private func torn(_ entry: WriteLog.Entry, _ random: inout SeededGenerator) -> [Piece] {
        let size = log.sectorSize
        let sectors = Array(stride(from: UInt64(0), to: UInt64(entry.target.count), by: Int(size)))
        let there =
            Bool.random(using: &random)
            ? Array(sectors.prefix(Int.random(in: 0..<sectors.count, using: &random)))
            : sectors.filter { _ in Bool.random(using: &random) }
        return there.map { Piece(entry, at: $0, length: size) }
    }

    private static func put(
        _ piece: Piece, of file: borrowing OwnedDescriptor, in image: inout [UInt8]
    ) throws(SystemError) {
        let bytes = try file.read(count: piece.target.count, at: piece.data)
        precondition(bytes.count == piece.target.count, "the log was whole when it was read")
        image.replaceSubrange(
            Int(piece.target.lowerBound)..<Int(piece.target.upperBound), with: bytes)
    }
}

import Block
import ExceptionStore
import StoreTesting
import Synchronization
import SystemPackage

@testable import SessionArchive

/// What a chunk has in it.
enum Filling: CaseIterable {
    case zero, text, random

    func bytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        switch self {
        case .zero: [UInt8](repeating: 0, count: count)
        case .random: Self.random(count, &generator)
        case .text: Self.text(count, &generator)
        }
    }

    private static func random(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        let words = (0..<(count + 7) / 8).map { _ in generator.next() }
        return unsafe words.withUnsafeBytes { unsafe [UInt8]($0.prefix(count)) }
    }

    private static func text(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        let words = ["origin", "chunk", "exception", "store", "snapshot", "area"]
        var paragraph = ""
        while paragraph.utf8.count < min(count, 2000) {
            paragraph += (words.randomElement(using: &generator) ?? "") + " "
        }
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += paragraph.utf8 }
        return [UInt8](bytes.prefix(count))
    }
}

/// Chunks kept in memory, in any order.
struct MemorySource: ChunkSource {
    let path: FilePath = "memory"
    let exceptions: ExceptionTable
    /// Stored chunk n is the n-th part.
    let stored: [UInt8]

    /// - Parameters:
    ///   - chunks: Number in the origin and filling, in the order in which they are stored.
    ///   - short: How many bytes the origin's last chunk lacks.
    init(
        _ chunks: [(origin: UInt64, filling: Filling)], chunkBytes: Int, originChunks: UInt64,
        short: UInt64 = 0, seed: UInt64 = 1
    ) throws {
        var generator = SeededGenerator(seed: seed)
        // One chunk of rubbish first, so that stored numbers are not places in the list.
        var stored = generator.bytes(chunkBytes)
        for chunk in chunks { stored += chunk.filling.bytes(chunkBytes, &generator) }
        self.stored = stored
        exceptions = try ExceptionTable(
            chunks.enumerated().map {
                ExceptionEntry(originChunk: $1.origin, storedChunk: UInt64($0 + 1))
            },
            chunkSize: ChunkSize(ByteCount(UInt64(chunkBytes))),
            originSize: ByteCount(originChunks * UInt64(chunkBytes) - short),
            storedChunks: UInt64(chunks.count + 1))
    }

    /// Random chunks, some in a row, stored in random order.
    static func mixed(
        _ count: Int, of fillings: [Filling] = Filling.allCases, chunkBytes: Int,
        short: UInt64 = 0, seed: UInt64
    ) throws -> MemorySource {
        var generator = SeededGenerator(seed: seed)
        var chunks: [(UInt64, Filling)] = []
        var next: UInt64 = 0
        for _ in 0..<count {
            next +=
                Bool.random(using: &generator) ? 0 : UInt64.random(in: 1...300, using: &generator)
            chunks.append((next, fillings.randomElement(using: &generator) ?? .zero))
            next += 1
        }
        // The last chunk of the origin is among them.
        return try MemorySource(
            chunks.shuffled(using: &generator), chunkBytes: chunkBytes,
            originChunks: max(next, 1), short: short, seed: seed)
    }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        let start = Int(storedOffset)
        buffer.copy(from: stored.span.extracting(start..<start + buffer.count))
    }
}

/// Another source, with something that happens before or to each read.
struct WatchedSource: ChunkSource {
    let base: any ChunkSource
    let onRead: @Sendable (Range<UInt64>, inout MutableSpan<UInt8>) throws(ChunkReadError) -> Void

    var path: FilePath { base.path }
    var exceptions: ExceptionTable { base.exceptions }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        try base.read(into: &buffer, at: storedOffset)
        try onRead(storedOffset..<storedOffset + UInt64(buffer.count), &buffer)
    }
}

/// What an origin of this size is after all of a source's chunks are put into zeros.
func image(of source: any ChunkSource) throws -> [UInt8] {
    var image = [UInt8](repeating: 0, count: Int(source.originSize.bytes))
    let size = Int(source.chunkSize.bytes.bytes)
    for entry in source.exceptions.entries {
        let start = Int(entry.originChunk) * size
        try image.fill(start..<min(start + size, image.count)) { span throws(ChunkReadError) in
            try source.read(into: &span, at: entry.storedChunk * UInt64(size))
        }
    }
    return image
}

/// Things that happened, in order, from whatever thread.
final class Log<Element: Sendable>: Sendable {
    private let stored = Mutex<[Element]>([])

    var elements: [Element] { stored.withLock { $0 } }

    func append(_ element: Element) { stored.withLock { $0.append(element) } }
}

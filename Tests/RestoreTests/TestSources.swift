import Block
import ExceptionStore
import StoreTesting
import Synchronization
import SystemPackage

/// Chunks kept in memory, stored chunk n being the n-th part of `stored`.
struct MemorySource: ChunkSource {
    let path: FilePath = "memory"
    let exceptions: ExceptionTable
    let stored: [UInt8]

    /// Entries of random content, or with the contents given.
    init(
        _ entries: [(origin: UInt64, stored: UInt64)], chunkBytes: UInt64, originSize: UInt64,
        stored: [UInt8]? = nil
    ) throws {
        let chunks = (entries.map(\.stored).max() ?? 0) + 1
        var generator = SeededGenerator(seed: chunkBytes)
        self.stored = stored ?? generator.bytes(Int(chunks * chunkBytes))
        exceptions = try ExceptionTable(
            entries.map { ExceptionEntry(originChunk: $0.origin, storedChunk: $0.stored) },
            chunkSize: ChunkSize(ByteCount(chunkBytes)), originSize: ByteCount(originSize),
            storedChunks: chunks)
    }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        for index in 0..<buffer.count { buffer[index] = stored[Int(storedOffset) + index] }
    }
}

/// Another source, with something that happens before each read.
struct WatchedSource: ChunkSource {
    let base: any ChunkSource
    let beforeRead: @Sendable (Range<UInt64>) throws(ChunkReadError) -> Void

    var path: FilePath { base.path }
    var exceptions: ExceptionTable { base.exceptions }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        try beforeRead(storedOffset..<storedOffset + UInt64(buffer.count))
        try base.read(into: &buffer, at: storedOffset)
    }
}

/// Things that happened, in order, from whatever thread.
final class Log<Element: Sendable>: Sendable {
    private let stored = Mutex<[Element]>([])

    var elements: [Element] { stored.withLock { $0 } }

    func append(_ element: Element) { stored.withLock { $0.append(element) } }
}

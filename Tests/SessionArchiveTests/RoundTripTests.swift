import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

@Suite struct RoundTripTests {
    let archives = Archives()

    static func expectSame(_ reader: ArchiveReader, _ source: any ChunkSource) throws {
        #expect(reader.chunkSize == source.chunkSize)
        #expect(reader.originSize == source.originSize)
        #expect(
            reader.exceptions.entries.map(\.originChunk)
                == source.exceptions.entries.map(\.originChunk))
        let same = try image(of: reader) == image(of: source)
        #expect(same)
        #expect(try reader.verify().isWhole)
    }

    @Test(arguments: [512, 1024, 4096, 65536, 1 << 20], 0..<3 as Range<UInt64>)
    func `any mix of chunks of any size comes back`(chunkBytes: Int, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let most = min(400, (3 << 20) / chunkBytes)
        let source = try MemorySource.mixed(
            Int.random(in: 1...most, using: &generator), chunkBytes: chunkBytes,
            short: UInt64.random(in: 0..<UInt64(chunkBytes), using: &generator), seed: seed)
        let reader = try archives.reader(
            source, metadata: "{\"seed\": \(seed)}",
            options: ArchiveOptions(threads: 2, blockSize: 4096 << Int(seed * 2)))
        #expect(reader.metadata == "{\"seed\": \(seed)}")
        try Self.expectSame(reader, source)
    }

    @Test(arguments: Filling.allCases, [1, 2, 63, 64, 65, 128])
    func `chunks of one kind come back, around a block's end`(
        filling: Filling, count: Int
    ) throws {
        let source = try MemorySource.mixed(
            count, of: [filling], chunkBytes: 4096, seed: UInt64(count))
        let reader = try archives.reader(source)
        let summary = reader.summary
        #expect(summary.zeroChunks == (filling == .zero ? UInt64(count) : 0))
        #expect(summary.dataChunks + summary.zeroChunks == UInt64(count))
        #expect(summary.blocks == (filling == .zero ? 0 : UInt64((count + 63) / 64)))
        try Self.expectSame(reader, source)
    }

    @Test func `a source without exceptions makes an archive without chunks`() throws {
        let source = try MemorySource([], chunkBytes: 4096, originChunks: 10)
        let reader = try archives.reader(source, metadata: "")
        #expect(reader.exceptions.count == 0)
        #expect(reader.metadata.isEmpty)
        #expect(reader.summary.size == ByteCount(44 + 60))
        #expect(try reader.verify().isWhole)
    }

    @Test func `zero chunks cost nothing but their place in the index`() throws {
        let source = try MemorySource(
            (0..<10_000).map { ($0, .zero) }, chunkBytes: 512, originChunks: 10_000)
        let reader = try archives.reader(source)
        #expect(reader.summary.size.bytes < 200)
        try Self.expectSame(reader, source)
    }

    @Test func `random chunks cost little more than themselves`() throws {
        let source = try MemorySource.mixed(1000, of: [.random], chunkBytes: 4096, seed: 5)
        let reader = try archives.reader(source)
        #expect(reader.summary.size.bytes < 1000 * 4096 * 1001 / 1000)
        try Self.expectSame(reader, source)
    }

    // The writer's own compressor must not be what makes them larger than another's.
    @Test
    func `a page that comes twice among random ones is worth deflating, random ones alone are not`()
        throws
    {
        var generator = SeededGenerator(seed: 8)
        let page = Filling.random.bytes(4096, &generator)
        var stored = page
        for _ in 0..<16 { stored += Filling.random.bytes(4096, &generator) + page }
        func isWorthDeflating(_ bytes: [UInt8]) -> Bool {
            CompressibilityProbe.isWorthDeflating(bytes.span)
        }
        #expect(isWorthDeflating(stored))
        #expect(!isWorthDeflating(Filling.random.bytes(1 << 18, &generator)))
        #expect(isWorthDeflating(Filling.text.bytes(9999, &generator)))
    }

    @Test func `an index of several sections of both kinds comes back`() throws {
        // Every second chunk, so that a run takes two bytes; small blocks, so that there are many.
        let chunks = (0..<70_000).map { number -> (origin: UInt64, filling: Filling) in
            (2 * UInt64(number), number < 24_000 ? .random : .zero)
        }
        let source = try MemorySource(chunks, chunkBytes: 512, originChunks: 140_000)
        let reader = try archives.reader(
            source, options: ArchiveOptions(threads: 2, blockSize: 4096))
        #expect(reader.file.footer.runSections == 3)
        #expect(reader.file.footer.blockSections == 2)
        #expect(reader.summary.blocks == 3000)
        try Self.expectSame(reader, source)
        let path = reader.path
        let descriptor = try FileDescriptor.open(path, .readOnly)
        #expect(
            try descriptor.closeAfter { try ArchiveStream.verify(descriptor) } == reader.summary)
    }

    @Test func `a chunk larger than the largest block is cut into several`() throws {
        let source = try MemorySource(
            [(1, .text), (0, .zero), (3, .random)], chunkBytes: 8 << 20, originChunks: 4,
            short: 5_000_000)
        let reader = try archives.reader(source)
        #expect(reader.summary.dataChunks == 3)
        #expect(reader.summary.blocks == 6)
        #expect(reader.summary.size.bytes < 13 << 20)
        try Self.expectSame(reader, source)
    }

    @Test func `what a short last chunk has behind the origin's end is not kept`() throws {
        let source = try MemorySource(
            [(0, .random)], chunkBytes: 4096, originChunks: 1, short: 4000)
        let reader = try archives.reader(source)
        var chunk = [UInt8](repeating: 1, count: 4096)
        try chunk.fill(0..<4096) { span throws(ChunkReadError) in
            try reader.read(into: &span, at: 0)
        }
        #expect(chunk[..<96].elementsEqual(source.stored[4096..<4096 + 96]))
        #expect(chunk[96...].allSatisfy { $0 == 0 })
    }

    @Test func `any range of the stored chunks can be read`() throws {
        let source = try MemorySource.mixed(300, chunkBytes: 512, seed: 77)
        let reader = try archives.reader(
            source, options: ArchiveOptions(threads: 1, blockSize: 4096))
        let total = reader.exceptions.count * 512
        var whole = [UInt8](repeating: 1, count: total)
        try whole.fill(0..<total) { span throws(ChunkReadError) in
            try reader.read(into: &span, at: 0)
        }
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            let start = Int.random(in: 0...total, using: &generator)
            let end = Int.random(in: start...min(total, start + 20_000), using: &generator)
            var part = [UInt8](repeating: 1, count: end - start)
            try part.fill(0..<part.count) { span throws(ChunkReadError) in
                try reader.read(into: &span, at: UInt64(start))
            }
            #expect(part.elementsEqual(whole[start..<end]))
        }
    }

    @Test func `a read behind the last chunk fails`() throws {
        let reader = try archives.reader(
            try MemorySource.mixed(3, chunkBytes: 512, seed: 1))
        var bytes = [UInt8](repeating: 0, count: 513)
        for offset: UInt64 in [1024, 1536, .max] {
            #expect(throws: ChunkReadError.self) {
                try bytes.fill(0..<513) { span throws(ChunkReadError) in
                    try reader.read(into: &span, at: offset)
                }
            }
        }
    }

    @Test func `many threads can read at once`() async throws {
        let source = try MemorySource.mixed(500, chunkBytes: 4096, seed: 4)
        let reader = try archives.reader(source)
        let expected = try image(of: source)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { try image(of: reader) == expected } }
            for try await same in group { #expect(same) }
        }
    }

    @Test func `an archive's ends alone tell what it is`() throws {
        let source = try MemorySource.mixed(30, chunkBytes: 1024, seed: 9)
        let reader = try archives.reader(source, metadata: "{\"device\": \"é\"}")
        let information = try ArchiveInformation(path: reader.path)
        #expect(information.metadata == "{\"device\": \"é\"}")
        #expect(information.chunkSize == source.chunkSize)
        #expect(information.originSize == source.originSize)
        #expect(information.summary == reader.summary)
    }
}

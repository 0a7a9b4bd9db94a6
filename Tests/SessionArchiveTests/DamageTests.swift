import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

@Suite struct DamageTests {
    let archives = Archives()

    /// Eight chunks of text in a deflated block, a zero chunk, a random one in a stored block.
    static func small() throws -> MemorySource {
        var chunks = (0..<8).map { (origin: UInt64(2 * $0), filling: Filling.text) }
        chunks += [(20, .zero), (21, .random)]
        return try MemorySource(chunks, chunkBytes: 512, originChunks: 30)
    }

    func smallBytes() throws -> [UInt8] {
        try archives.bytes(
            Self.small(), metadata: "{\"a\":1}",
            options: ArchiveOptions(threads: 1, blockSize: 4096))
    }

    @Test func `no changed byte anywhere in an archive goes unseen`() throws {
        let good = try smallBytes()
        #expect(try archives.fault(in: good) == nil)
        #expect(try archives.streamFault(in: good) == nil)
        for offset in good.indices {
            for change: UInt8 in [1 << UInt8(offset % 8), 0xff] {
                var bytes = good
                bytes[offset] ^= change
                let fault = try archives.fault(in: bytes)
                #expect(fault != nil, "byte \(offset)")
                let streamFault = try archives.streamFault(in: bytes)
                #expect(streamFault != nil, "byte \(offset), from front to back")
            }
        }
    }

    // What reading gives must be right or an error, verified or not.
    @Test func `no changed byte makes a read give other contents`() throws {
        let source = try Self.small()
        let good = try smallBytes()
        let expected = try image(of: source)
        for offset in good.indices {
            var bytes = good
            bytes[offset] ^= 1 << UInt8(offset % 8)
            guard let reader = try? ArchiveReader(path: archives.file(bytes)) else { continue }
            do {
                let same = try image(of: reader) == expected
                #expect(same, "byte \(offset)")
            } catch let error as ChunkReadError {
                guard case .damaged(let cause) = error, let block = cause as? DamagedBlock else {
                    Issue.record("byte \(offset): \(error)")
                    continue
                }
                #expect(block.bytes.contains(UInt64(offset)))
            }
        }
    }

    @Test func `no cut goes unseen`() throws {
        let good = try smallBytes()
        for length in 0..<good.count {
            let bytes = [UInt8](good[..<length])
            #expect(try archives.fault(in: bytes) != nil, "cut at \(length)")
            #expect(try archives.streamFault(in: bytes) != nil, "cut at \(length)")
        }
    }

    @Test func `bytes behind the footer are refused`() throws {
        let bytes = try smallBytes() + [0]
        #expect(try archives.fault(in: bytes) != nil)
        #expect(try archives.streamFault(in: bytes) != nil)
    }

    @Test func `a cut while it is open is an error, not other contents`() throws {
        let path = try archives.file(smallBytes())
        let reader = try ArchiveReader(path: path)
        try TemporaryDirectory.resize(path, to: 60)
        #expect(throws: ChunkReadError.self) { try image(of: reader) }
        let error = try failure { _ = try reader.verify() }
        guard case .truncated = error else { throw error }
    }

    @Test func `a damaged block is named with its chunks, and the others are read`() throws {
        let source = try MemorySource.mixed(
            300, of: [.text, .random], chunkBytes: 512, seed: 11)
        let path = try archives.path()
        try ArchiveFiles.create(
            source: source, metadata: "", at: path, options: ArchiveOptions(blockSize: 4096))
        let record = try ArchiveReader(path: path).file.blocks.records[5]
        try TemporaryDirectory.patch(path, at: Int64(record.offset + 100), [0, 1, 2])
        let reader = try ArchiveReader(path: path)
        let result = try reader.verify()
        #expect(!result.isWhole)
        #expect(result.damagedBlocks == 1 && result.blocks == 38 && result.otherDamage == nil)
        let damage = try #require(result.damage.first)
        #expect(damage.number == 5 && damage.bytes == record.offset..<record.end)
        #expect(damage.fault == .payloadChecksum)
        let chunks = source.exceptions.entries[40..<48].map(\.originChunk)
        var expected = ChunkList()
        for chunk in chunks { expected.append(chunk) }
        #expect(damage.chunks == expected)

        for entry in reader.exceptions.entries {
            var bytes = [UInt8](repeating: 0, count: 512)
            let isGood =
                (try? bytes.fill(0..<512) { span throws(ChunkReadError) in
                    try reader.read(into: &span, at: entry.storedChunk * 512)
                }) != nil
            #expect(isGood == !chunks.contains(entry.originChunk))
        }
    }

    @Test func `two blocks that changed places are found`() throws {
        let source = try MemorySource(
            (0..<16).map { ($0, .random) }, chunkBytes: 512, originChunks: 16)
        let good = try archives.bytes(source, options: ArchiveOptions(blockSize: 4096))
        let start = ArchiveHeader.fixedSize + 2 + 4
        let size = SectionHeader.size + 4096
        var bytes = good
        bytes.replaceSubrange(start..<start + size, with: good[start + size..<start + 2 * size])
        bytes.replaceSubrange(start + size..<start + 2 * size, with: good[start..<start + size])
        let reader = try ArchiveReader(path: archives.file(bytes))
        let result = try reader.verify()
        #expect(result.damage.map(\.fault) == [.contradiction, .contradiction])
        #expect(try archives.streamFault(in: bytes) != nil)
    }

    @Test func `what is no archive is called that`() throws {
        for bytes: [UInt8] in [[1], [UInt8](repeating: 0, count: 5000)] {
            let error = try failure { _ = try ArchiveReader(path: archives.file(bytes)) }
            guard case .notAnArchive = error else { throw error }
        }
        let empty = try failure { _ = try ArchiveReader(path: archives.file([])) }
        guard case .truncated = empty else { throw empty }
        let nowhere = try failure { _ = try ArchiveReader(path: "/nowhere/at/all") }
        guard case .system = nowhere else { throw nowhere }
    }
}

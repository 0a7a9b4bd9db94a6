import Block
import CZlib
import ExceptionStore
import Foundation
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

@Suite struct DeflateTests {
    let archives = Archives()

    /// What is behind an output, and has to stay there.
    static let behind = [UInt8](repeating: 0xa5, count: 64)

    /// Compresses into so much room.
    static func compressed(
        _ contents: [UInt8], by compressor: Compressor, room: Int
    ) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: room) + behind
        let length = buffer.fill(0..<room) { compressor.compress(contents.span, into: &$0) }
        #expect(buffer[room...].elementsEqual(behind))
        return length.map { [UInt8](buffer[..<$0]) }
    }

    static func compressor() throws -> Compressor { try #require(Compressor()) }

    /// Contents of every kind: runs of one byte, noise, text, and pieces of all of them.
    static func contents(_ count: Int) -> [[UInt8]] {
        var generator = SeededGenerator(seed: UInt64(count))
        var kinds: [[UInt8]] = Filling.allCases.map { $0.bytes(count, &generator) }
        kinds.append([UInt8](repeating: 0xff, count: count))
        kinds.append([UInt8](repeating: 7, count: count))
        var pieces: [UInt8] = []
        while pieces.count < count {
            let length = Int.random(in: 1...max(count / 3, 1), using: &generator)
            pieces += (Filling.allCases.randomElement(using: &generator) ?? .zero)
                .bytes(length, &generator)
        }
        kinds.append([UInt8](pieces.prefix(count)))
        return kinds
    }

    // ISA-L makes it, and two that know nothing of it have to agree.
    @Test(
        arguments: [
            0, 1, 3, 4, 5, 8, 20, 63, 64, 65, 300, 511, 512, 4095, 4096, 32768, 65535, 65536, 65537,
            1 << 18, 1_000_003, 16 << 20,
        ])
    func `zlib and libdeflate inflate what is compressed`(count: Int) throws {
        let compressor = try Self.compressor()
        let zlib = try #require(ZlibDecompressor())
        let libdeflate = try #require(Decompressor())
        for contents in Self.contents(count) {
            let payload = try #require(
                Self.compressed(contents, by: compressor, room: count + count / 100 + 64))
            var inflated = [UInt8](repeating: 1, count: count)
            var span = inflated.mutableSpan
            #expect(zlib.decompress(payload.span, into: &span))
            #expect(inflated == contents)
            inflated = [UInt8](repeating: 1, count: count)
            span = inflated.mutableSpan
            #expect(libdeflate.decompress(payload.span, into: &span))
            #expect(inflated == contents)
            // A byte more or less is another stream, or other contents.
            for other in [payload + [0], [UInt8](payload.dropLast())] {
                span = inflated.mutableSpan
                #expect(!zlib.decompress(other.span, into: &span))
            }
            inflated.append(0)
            span = inflated.mutableSpan
            #expect(!zlib.decompress(payload.span, into: &span))
        }
    }

    @Test(arguments: [1, 5, 64, 513, 4096, 70_000, 1 << 18])
    func `what does not fit is nil, and nothing is written behind the output`(count: Int) throws {
        let compressor = try Self.compressor()
        for contents in Self.contents(count) {
            let payload = try #require(
                Self.compressed(contents, by: compressor, room: count + count / 100 + 64))
            let length = payload.count
            for room in Set([0, 1, 7, 8, 9, length / 2, length - 9, length - 1]) {
                guard (0..<length).contains(room) else { continue }
                #expect(Self.compressed(contents, by: compressor, room: room) == nil, "\(room)")
            }
            #expect(Self.compressed(contents, by: compressor, room: length + 8) != nil)
        }
        var generator = SeededGenerator(seed: 5)
        let noise = Filling.random.bytes(count, &generator)
        #expect(Self.compressed(noise, by: compressor, room: count - count / 128) == nil)
    }

    // ISA-L takes a hash of the state's address where a stream begins.
    @Test func `the same contents become the same bytes in every compressor`() throws {
        let one = try Self.compressor()
        let other = try Self.compressor()
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<6000 {
            let period = generator.bytes(16)
            let contents = [UInt8]((0..<16).map { _ in period }.joined())
            let same =
                Self.compressed(contents, by: one, room: 300)
                == Self.compressed(contents, by: other, room: 300)
            #expect(same)
        }
    }

    @Test func `text takes no more than zlib's level 1 makes of it and three in a hundred`() throws
    {
        let sources = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources")
        let files = try #require(FileManager.default.enumerator(atPath: sources.path))
        var text: [UInt8] = []
        for case let file as String in files where file.hasSuffix(".swift") {
            text += try Data(contentsOf: sources.appending(path: file))
        }
        let compressor = try Self.compressor()
        var sizes = (here: 0, zlib: 0)
        for start in stride(from: 0, to: text.count, by: 1 << 18) {
            let block = [UInt8](text[start..<min(start + 1 << 18, text.count)])
            sizes.here += try #require(
                Self.compressed(block, by: compressor, room: block.count)
            ).count
            var length = compressBound(uLong(block.count))
            var buffer = [UInt8](repeating: 0, count: Int(length))
            #expect(unsafe compress2(&buffer, &length, block, uLong(block.count), 1) == Z_OK)
            sizes.zlib += Int(length)
        }
        #expect(text.count > 1 << 19)
        #expect(sizes.here * 100 <= sizes.zlib * 103)
    }

    // 288 codes for literals and lengths, of which RFC 1951 has 286.
    @Test func `what libdeflate takes and zlib doesn't is found in the read-back`() throws {
        let payload: [UInt8] =
            [0xfd, 0xc0, 0x01, 0x09, 0, 0, 0, 0x80, 0xa0, 0xad, 0xfe, 0x3f, 0xd1, 0x91, 0x40]
            + [0xdb, 0xb6, 0x6d, 0xdb, 0xb6, 0x0d] + [UInt8](repeating: 0, count: 27) + [0x40]
        let contents = [UInt8](repeating: UInt8(ascii: "a"), count: 4096)
        var inflated = [UInt8](repeating: 0, count: 4096)
        var span = inflated.mutableSpan
        #expect(try #require(Decompressor()).decompress(payload.span, into: &span))
        #expect(inflated == contents)
        span = inflated.mutableSpan
        #expect(!(try #require(ZlibDecompressor()).decompress(payload.span, into: &span)))

        let source = try OneChunk(contents)
        for isDeflated in [false, true] {
            var archive = HandMade()
            archive.header = ArchiveHeader(
                blockSize: 1 << 18, chunkSize: 4096, originSize: 4096, metadata: [])
            let block = HandMade.section(.block, isDeflated ? payload : contents) {
                guard isDeflated else { return }
                $0.method = .deflated
                $0.contentsLength = 4096
                $0.contentsChecksum = CRC32.of(contents[...])
            }
            archive.sections = [
                block, HandMade.section(.runs, HandMade.runs(0, 0)),
                HandMade.section(
                    .blocks, try HandMade.record(block, at: archive.header.encoded.count)),
            ]
            archive.blockSections = 1
            archive.footer.dataChunks = 1
            archive.footer.blocks = 1
            archive.footer.runSections = 1
            archive.footer.blockSections = 1
            let file = try ArchiveFile(
                ArchiveFile.open(archives.file(archive.bytes)), memoryLimit: .max)
            let readBack = try ReadBack(
                file, source, metadata: "", options: ArchiveOptions(threads: 1))
            guard isDeflated else {
                try readBack.run(ArchiveControl())
                continue
            }
            let error = try failure { try readBack.run(ArchiveControl()) }
            guard case .damagedBlock(let damage) = error else { throw error }
            #expect(damage.number == 0 && damage.fault == .compression)
        }
    }

}

/// An origin of one chunk.
private struct OneChunk: ChunkSource {
    let path: FilePath = "one chunk"
    let exceptions: ExceptionTable
    private let contents: [UInt8]

    init(_ contents: [UInt8]) throws {
        self.contents = contents
        let size = ByteCount(UInt64(contents.count))
        exceptions = try ExceptionTable(
            [ExceptionEntry(originChunk: 0, storedChunk: 0)], chunkSize: ChunkSize(size),
            originSize: size, storedChunks: 1)
    }

    func read(into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64) {
        buffer.copy(from: contents.span.extracting(0..<buffer.count))
    }
}

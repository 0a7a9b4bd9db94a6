import Block
import ExceptionStore
import Foundation
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

// docs/archive-format.md, followed byte for byte.
@Suite struct FormatTests {
    let archives = Archives()

    @Test func `an archive of one stored chunk is as the document says`() throws {
        var generator = SeededGenerator(seed: 1)
        let contents = Filling.random.bytes(4096, &generator)
        let source = try MemorySource([(3, .random)], chunkBytes: 4096, originChunks: 5, short: 1)
        // The generator's first chunk is the source's rubbish.
        #expect(source.stored.count == 8192 && contents.count == 4096)
        let data = [UInt8](source.stored[4096...])
        let bytes = try archives.bytes(source, metadata: "{}")
        let dataChecksum = littleEndian(CRC32.of(data[...]))

        var header: [UInt8] = [
            0x89, 0x44, 0x4d, 0x53, 0x5a, 0x0d, 0x0a, 0x1a,  // magic
            1, 0, 0, 0,  // version
            0, 0, 0, 0,  // required features
            46, 0, 0, 0,  // length
            0, 0, 4, 0,  // block size: 256 KiB
            0, 0x10, 0, 0,  // chunk size
            2, 0, 0, 0,  // length of the metadata
            0xff, 0x4f, 0, 0, 0, 0, 0, 0,  // origin size: 20479
            0x7b, 0x7d,  // {}
        ]
        header += littleEndian(CRC32.of(header[...]))
        var block: [UInt8] = [
            0x44, 0x41, 0x54, 0x41,  // DATA
            0, 0, 0, 0,  // stored, no flags
            0, 0, 0, 0, 0, 0, 0, 0,  // number
            0, 0x10, 0, 0,  // length of the contents
            0, 0x10, 0, 0,  // length of the payload
        ]
        block += dataChecksum + dataChecksum + [0, 0, 0, 0]
        block += littleEndian(CRC32.of(block[...]))
        let runContents: [UInt8] = [3, 0]  // after a gap of 3 one data chunk
        let runs = section([0x52, 0x55, 0x4e, 0x53], runContents)  // RUNS
        let record =
            [46, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 0] + dataChecksum + dataChecksum
        let blocks = section([0x42, 0x4c, 0x4b, 0x53], record)  // BLKS
        let before = header + block + data + runs + blocks
        var footer: [UInt8] = [0x46, 0x4f, 0x4f, 0x54]  // FOOT
        footer += littleEndian(UInt64(46 + 40 + 4096))  // offset of the index
        footer += littleEndian(UInt64(before.count + 60))  // size
        footer += littleEndian(UInt64(1)) + littleEndian(UInt64(0))  // data and zero chunks
        footer += littleEndian(UInt64(1))  // DATA sections
        footer += littleEndian(UInt32(1)) + littleEndian(UInt32(1))  // RUNS, BLKS sections
        footer += littleEndian(CRC32.of(before[...]))
        footer += littleEndian(CRC32.of(footer[...]))
        #expect(footer.count == 60)
        #expect(bytes == before + footer)
    }

    /// A stored section with number 0.
    private func section(_ tag: [UInt8], _ contents: [UInt8]) -> [UInt8] {
        let checksum = littleEndian(CRC32.of(contents[...]))
        let length = littleEndian(UInt32(contents.count))
        var bytes = tag + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        bytes += length + length + checksum + checksum + [0, 0, 0, 0]
        return bytes + littleEndian(CRC32.of(bytes[...])) + contents
    }

    private func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<MemoryLayout<Value>.size).map { UInt8(truncatingIfNeeded: value >> Value(8 * $0)) }
    }

    @Test func `the checksum is that of zlib`() {
        #expect(CRC32.of([UInt8]("123456789".utf8)[...]) == 0xcbf4_3926)
        #expect(
            CRC32.joining(
                CRC32.of([UInt8]("1234".utf8)[...]), CRC32.of([UInt8]("56789".utf8)[...]),
                length: 5) == 0xcbf4_3926)
    }

    @Test func `varints are seven bits a byte, the lowest first`() {
        for (value, expected): (UInt64, [UInt8]) in [
            (0, [0]), (127, [0x7f]), (128, [0x80, 1]), (300, [0xac, 2]),
            (.max, [UInt8](repeating: 0xff, count: 9) + [1]),
        ] {
            var bytes: [UInt8] = []
            Varint.append(value, to: &bytes)
            #expect(bytes == expected)
            var offset = 0
            #expect(Varint.read(from: bytes.span, at: &offset) == value)
            #expect(offset == expected.count)
        }
    }

    static let decoder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("decode_archive.py").path
    static var hasPython: Bool { FileManager.default.isExecutableFile(atPath: "/usr/bin/python3") }

    struct Decoded: Decodable {
        struct Run: Decodable {
            let first: UInt64
            let count: UInt64
            let isZero: Bool
        }
        let metadata: [String: String]
        let chunkSize: UInt64
        let originSize: UInt64
        let runs: [Run]
    }

    /// What the independent decoder prints; nil where it refuses the archive.
    static func decode(_ archive: FilePath, to image: FilePath) throws -> Decoded? {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [decoder, archive.string, image.string]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let printed = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        if process.terminationStatus == 65 { return nil }
        #expect(process.terminationStatus == 0)
        return try JSONDecoder().decode(Decoded.self, from: printed)
    }

    @Test(.enabled(if: hasPython), arguments: [512, 4096, 65536], 0..<2 as Range<UInt64>)
    func `a decoder made from the document alone agrees`(chunkBytes: Int, seed: UInt64) throws {
        let source = try MemorySource.mixed(
            (2 << 20) / chunkBytes, chunkBytes: chunkBytes, short: 100, seed: seed)
        let reader = try archives.reader(
            source, metadata: "{\"device\": \"sdb1\"}", options: ArchiveOptions(blockSize: 65536))
        let file = try archives.path("image")
        let decoded = try #require(try Self.decode(reader.path, to: file))
        #expect(decoded.metadata == ["device": "sdb1"])
        #expect(decoded.chunkSize == UInt64(chunkBytes))
        #expect(decoded.originSize == source.originSize.bytes)
        let chunks = decoded.runs.flatMap { $0.first..<$0.first + $0.count }
        #expect(chunks == source.exceptions.entries.map(\.originChunk))
        let zeros = decoded.runs.filter(\.isZero).reduce(0) { $0 + $1.count }
        #expect(zeros == reader.summary.zeroChunks)
        let same = try TemporaryDirectory.contents(file) == image(of: source)
        #expect(same)
    }

    @Test(.enabled(if: hasPython)) func `that decoder, too, finds changed bytes`() throws {
        let good = try archives.bytes(DamageTests.small())
        for offset in stride(from: 8, to: good.count, by: 97) {
            var bytes = good
            bytes[offset] ^= 4
            #expect(try Self.decode(archives.file(bytes), to: archives.path("image")) == nil)
        }
    }
}

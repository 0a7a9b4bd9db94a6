import Block
import ExceptionStore
import Foundation
import Testing

@Suite struct ChunkSizeTests {
    @Test func `a size is known in bytes, sectors and exceptions an area`() throws {
        let size = try chunkSize(4096)
        #expect(size.bytes == ByteCount(4096))
        #expect(size.sectors == SectorCount(8))
        #expect(size.byteShift == 12)
        #expect(size.exceptionsPerArea == 256)
        #expect(ChunkSize.minimum.exceptionsPerArea == 32)
        #expect(ChunkSize.maximum.bytes == ByteCount(1 << 30))
        #expect(ChunkSize.kernelDefault.sectors == SectorCount(32))
    }

    @Test func `a short last chunk covers, but is not whole`() throws {
        let size = try chunkSize(4096)
        #expect(size.chunks(covering: ByteCount(0)) == 0)
        #expect(size.chunks(covering: ByteCount(1)) == 1)
        #expect(size.chunks(covering: ByteCount(8192)) == 2)
        #expect(size.chunks(covering: ByteCount(8193)) == 3)
        #expect(size.wholeChunks(in: ByteCount(8191)) == 1)
        #expect(size.chunks(covering: ByteCount(.max)) == 1 << 52)
    }

    @Test func `an offset that overflows is none`() throws {
        #expect(try chunkSize(4096).offset(of: (1 << 52) - 1) == .max - 4095)
        #expect(try chunkSize(4096).offset(of: 1 << 52) == nil)
    }

    @Test(
        arguments: [
            ("512B", 512), ("1s", 512), ("1", 512), ("16", 8192), ("4K", 4096), ("4k", 4096),
            ("64KiB", 65536), ("64kib", 65536), ("1M", 1 << 20), ("1G", 1 << 30), ("0016K", 16384),
        ] as [(String, UInt64)])
    func `sizes are read as people write them, a bare number in sectors`(
        text: String, bytes: UInt64
    ) throws {
        #expect(try ChunkSize(parsing: text).bytes == ByteCount(bytes))
    }

    @Test(
        arguments: [
            ("", .noNumber(text: "")),
            ("K", .noNumber(text: "K")),
            ("-4K", .noNumber(text: "-4K")),
            ("٤K", .noNumber(text: "٤K")),
            ("4kB", .unknownUnit("kB", text: "4kB")),
            ("4 K", .unknownUnit(" K", text: "4 K")),
            ("0x10", .unknownUnit("x10", text: "0x10")),
            ("1000B", .notWholeSectors(ByteCount(1000))),
            ("0", .zero),
            ("3K", .notPowerOfTwo(SectorCount(6))),
            ("2G", .tooLarge),
            ("18446744073709551615G", .tooLarge),
            ("99999999999999999999", .tooLarge),
        ] as [(String, ChunkSizeFault)])
    func `sizes that are none are refused with the reason`(text: String, fault: ChunkSizeFault) {
        #expect(throws: ExceptionStoreError.chunkSize(fault)) { try ChunkSize(parsing: text) }
        #expect(!fault.description.isEmpty)
    }

    @Test func `every size prints as a text that reads back`() throws {
        for shift in 0...21 {
            let size = try ChunkSize(SectorCount(1 << UInt64(shift)))
            #expect(try ChunkSize(parsing: size.description) == size)
        }
        #expect(ChunkSize.kernelDefault.description == "16K")
    }

    @Test func `a size is coded as bytes and checked when decoded`() throws {
        let json = try JSONEncoder().encode([ChunkSize.kernelDefault])
        #expect(String(bytes: json, encoding: .utf8) == "[16384]")
        #expect(try JSONDecoder().decode([ChunkSize].self, from: json) == [.kernelDefault])
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([ChunkSize].self, from: Data("[16383]".utf8))
        }
    }
}

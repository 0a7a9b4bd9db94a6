import Foundation
import Testing

@testable import Block

@Suite struct UnitsTests {
    @Test("Sectors are 512 bytes whatever the device's own sector is")
    func sectorSize() {
        // SECTOR_SHIFT in include/linux/blk_types.h is 9 for every device.
        #expect(SectorCount(8).bytes == ByteCount(4096))
        #expect(SectorCount(exactly: ByteCount(4096)) == SectorCount(8))
    }

    @Test(
        "A length that is no whole number of sectors has no sector count",
        arguments: [1, 511, 513, 4095, UInt64.max])
    func partialSector(bytes: UInt64) {
        #expect(SectorCount(exactly: ByteCount(bytes)) == nil)
    }

    @Test("Sectors beyond 64 bits of bytes have no byte count, and the last ones within have")
    func overflow() {
        #expect(SectorCount(UInt64.max / 512).bytes == ByteCount(UInt64.max - 511))
        #expect(SectorCount(UInt64.max / 512 + 1).bytes == nil)
        #expect(SectorCount(.max).bytes == nil)
        #expect(SectorCount(exactly: ByteCount(UInt64.max - 511)) == SectorCount(UInt64.max / 512))
    }

    @Test("Counts are ordered as their numbers, beyond the signed ones, too")
    func order() {
        let bytes = [0, 1, 511, UInt64(Int64.max), UInt64(Int64.max) + 1, .max]
        #expect(bytes.reversed().map(ByteCount.init).sorted().map(\.bytes) == bytes)
        #expect(bytes.reversed().map { SectorCount($0) }.sorted().map(\.sectors) == bytes)
        #expect(!(ByteCount(1) < ByteCount(1)))
    }

    @Test(
        "A size for people is in the largest binary unit that leaves at least one",
        arguments: [
            (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"),
            (1075, "1 KiB"), (1076, "1.1 KiB"), (102_297, "99.9 KiB"), (102_349, "100 KiB"),
            (102_400, "100 KiB"),
            (153_754, "150 KiB"), (1_048_576, "1 MiB"), (1_610_612_736, "1.5 GiB"),
            (1 << 40, "1 TiB"), (1 << 50, "1 PiB"), (1 << 60, "1 EiB"), (.max, "16 EiB"),
        ] as [(UInt64, String)])
    func formatted(bytes: UInt64, text: String) {
        #expect(ByteCount(bytes).formatted == text)
    }

    @Test(
        "A byte count is a plain number in JSON, exact to 64 bits",
        arguments: [0, 4096, UInt64.max])
    func byteCountCodable(bytes: UInt64) throws {
        let json = try JSONEncoder().encode([ByteCount(bytes)])
        #expect(String(decoding: json, as: UTF8.self) == "[\(bytes)]")
        #expect(try JSONDecoder().decode([ByteCount].self, from: json) == [ByteCount(bytes)])
    }

    @Test(
        "A byte count is read from no negative, broken or too large number, and from no text",
        arguments: [
            "[-1]", "[0.5]", "[18446744073709551616]", "[\"1\"]", "[null]", "[{\"bytes\":1}]",
        ])
    func hostileByteCount(json: String) {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([ByteCount].self, from: Data(json.utf8))
        }
    }

    @Test("A sector count survives JSON")
    func sectorCountCodable() throws {
        let json = try JSONEncoder().encode([SectorCount(.max)])
        #expect(try JSONDecoder().decode([SectorCount].self, from: json) == [SectorCount(.max)])
    }
}

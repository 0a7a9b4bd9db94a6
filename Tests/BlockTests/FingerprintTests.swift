import Foundation
import SystemPackage
import Testing

@testable import Block

@Suite struct FingerprintTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func fingerprint(_ path: FilePath) throws -> Fingerprint {
        try Fingerprint(of: OwnedDescriptor.open(path, .readOnly))
    }

    /// Writes the byte's complement.
    private func flip(_ path: FilePath, at offset: UInt64) throws {
        let file = try OwnedDescriptor.open(path, .readWrite)
        let byte = try #require(try file.read(count: 1, at: offset).first)
        try file.write([~byte], at: offset)
    }

    @Test("Equal contents have equal fingerprints, whatever the file's name")
    func equal() async throws {
        let one = try directory.image("one", size: 8 << 20)
        try await run("mkfs.ext4", "-q", "-F", one.string)
        try await run("cp", one.string, directory.file("two").string)
        let (first, second) = (
            try fingerprint(one), try fingerprint(directory.file("two"))
        )
        #expect(first == second)
        #expect(first.contents.type == "ext4")
        #expect(first.size == ByteCount(8 << 20))
    }

    @Test("A change in the superblock changes it")
    func superblock() async throws {
        let image = try directory.image("image", size: 8 << 20)
        try await run("mkfs.ext4", "-q", "-F", image.string)
        let before = try fingerprint(image)
        // s_mtime of ext4's superblock (at 1024): written at every mount for writing.
        try flip(image, at: 1024 + 0x2C)
        #expect(try fingerprint(image) != before)
        try flip(image, at: 1024 + 0x2C)
        #expect(try fingerprint(image) == before)
    }

    @Test("The first and the last byte of every place and sample count, those just outside don't")
    func edges() throws {
        let size: UInt64 = 160 << 20
        let image = try directory.image("image", size: size)
        let before = try fingerprint(image)
        let ranges = (before.places + before.samples).map(\.range)
        for offset in ranges.flatMap({ [$0.lowerBound, $0.upperBound - 1] }) {
            try flip(image, at: offset)
            let after = try fingerprint(image)
            #expect(after != before, "at \(offset)")
            #expect(!after.agrees(with: before), "at \(offset)")
            #expect(after.differences(from: before).allSatisfy { $0.contains(offset) })
            #expect(!after.differences(from: before).isEmpty)
            try flip(image, at: offset)
        }
        for offset in Set(ranges.flatMap { [$0.lowerBound &- 1, $0.upperBound] })
        where offset < size && !ranges.contains(where: { $0.contains(offset) }) {
            try flip(image, at: offset)
        }
        #expect(try fingerprint(image) == before)
    }

    @Test(
        "Each place and sample has its CRC-32, also on devices smaller than the regions",
        arguments: [0, 1, 511, 4096, 5120, 65_536, 100_000, 1 << 20, 3 << 20] as [Int])
    func checksums(size: Int) throws {
        let file = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let image = directory.file("image")
        try Files.replace(image, with: file)
        let found = try fingerprint(image)
        // What makes no whole sector no device over the file has.
        let bytes = file.prefix(size / 512 * 512)
        #expect(found.size == ByteCount(UInt64(bytes.count)))
        #expect(found.places.map(\.range) == Fingerprint.places(of: found.size))
        #expect(found.samples.map(\.range) == Fingerprint.samples(of: found.size))
        for place in found.places + found.samples {
            let part = bytes[Int(place.offset)..<Int(place.offset + place.length)]
            #expect(place.checksum == crc32(Array(part)), "at \(place.offset)")
        }
    }

    @Test("Bytes moved from one region to another, or a longer device of zeros, are another device")
    func moved() throws {
        let size: UInt64 = 128 << 20
        let (one, two) = (
            try directory.image("one", size: size), try directory.image("two", size: size)
        )
        let longer = try directory.image("longer", size: size + 512)
        try flip(one, at: 64 << 20)
        try flip(two, at: size - 65_536)
        #expect(try fingerprint(one) != fingerprint(two))
        #expect(try fingerprint(longer).places == fingerprint(longer).places)
        let plain = try directory.image("plain", size: size)
        #expect(try fingerprint(longer) != fingerprint(plain))
    }

    @Test("Contents that contradict each other still have a fingerprint, and no identity")
    func ambivalent() async throws {
        let (xfs, both) = (
            try directory.image("xfs", size: 320 << 20),
            try directory.image("both", size: 320 << 20)
        )
        try await run("mkfs.xfs", "-q", xfs.string)
        try await run("mkfs.ext4", "-q", "-F", both.string)
        let superblock = try OwnedDescriptor.open(xfs, .readOnly).read(count: 512, at: 0)
        try OwnedDescriptor.open(both, .readWrite).write(superblock, at: 0)
        let found = try fingerprint(both)
        #expect(found.contents == Contents())
        try flip(both, at: 0)
        #expect(try fingerprint(both) != found)
    }

    @Test("Where time counts, as under a suspend, the places alone are read")
    func superblocksOnly() throws {
        let image = try directory.image("image", size: 160 << 20)
        let all = try fingerprint(image)
        let fast = try Fingerprint(superblocksOf: OwnedDescriptor.open(image, .readOnly))
        #expect(fast.samples.isEmpty)
        #expect(fast != all)
        #expect(fast.agrees(with: all) && all.agrees(with: fast))
    }
}

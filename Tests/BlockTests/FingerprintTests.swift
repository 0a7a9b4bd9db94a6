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

    @Test(
        "The regions are the first MiB, the 64 KiB at 64 MiB and the last 64 KiB, cut to the device",
        arguments: [
            (0, [(0, 0), (64 << 20, 0), (0, 0)]),
            (1, [(0, 1), (64 << 20, 0), (0, 1)]),
            (512, [(0, 512), (64 << 20, 0), (0, 512)]),
            (65_536, [(0, 65_536), (64 << 20, 0), (0, 65_536)]),
            (65_537, [(0, 65_537), (64 << 20, 0), (1, 65_536)]),
            (1 << 20, [(0, 1 << 20), (64 << 20, 0), ((1 << 20) - 65_536, 65_536)]),
            (64 << 20, [(0, 1 << 20), (64 << 20, 0), ((64 << 20) - 65_536, 65_536)]),
            (
                (64 << 20) + 512,
                [(0, 1 << 20), (64 << 20, 512), ((64 << 20) + 512 - 65_536, 65_536)]
            ),
            (1 << 40, [(0, 1 << 20), (64 << 20, 65_536), ((1 << 40) - 65_536, 65_536)]),
            (.max, [(0, 1 << 20), (64 << 20, 65_536), (.max - 65_536, 65_536)]),
        ] as [(UInt64, [(UInt64, Int)])])
    func regions(size: UInt64, expected: [(UInt64, Int)]) {
        let regions = Fingerprint.regions(of: ByteCount(size))
        #expect(regions.map(\.offset) == expected.map(\.0))
        #expect(regions.map(\.length) == expected.map(\.1))
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

    @Test("The first and the last byte of every region count, those just outside don't")
    func edges() throws {
        let size: UInt64 = 128 << 20
        let image = try directory.image("image", size: size)
        let before = try fingerprint(image)
        let inside: [UInt64] = [
            0, (1 << 20) - 1, 64 << 20, (64 << 20) + 65_535, size - 65_536, size - 1,
        ]
        let outside: [UInt64] = [1 << 20, (64 << 20) - 1, (64 << 20) + 65_536, size - 65_537]
        for offset in inside {
            try flip(image, at: offset)
            #expect(try fingerprint(image) != before, "at \(offset)")
            try flip(image, at: offset)
        }
        for offset in outside { try flip(image, at: offset) }
        #expect(try fingerprint(image) == before)
    }

    @Test(
        "Each region has its CRC-32, also on devices smaller than the regions",
        arguments: [0, 1, 511, 65_536, 100_000, 1 << 20, 3 << 20] as [Int])
    func checksums(size: Int) throws {
        let file = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let image = directory.file("image")
        try Files.replace(image, with: file)
        let found = try fingerprint(image)
        // What makes no whole sector no device over the file has.
        let bytes = file.prefix(size / 512 * 512)
        #expect(found.size == ByteCount(UInt64(bytes.count)))
        #expect(
            found.checksums == [
                crc32(Array(bytes.prefix(1 << 20))), crc32([]), crc32(Array(bytes.suffix(65_536))),
            ])
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
        #expect(try fingerprint(longer).checksums == fingerprint(longer).checksums)
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

    @Test("A fingerprint survives JSON")
    func codable() throws {
        let found = try fingerprint(try directory.image("image", size: 4096))
        let json = try JSONEncoder().encode(found)
        #expect(try JSONDecoder().decode(Fingerprint.self, from: json) == found)
    }
}

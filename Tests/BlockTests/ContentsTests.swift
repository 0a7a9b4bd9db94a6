import Foundation
import SystemPackage
import Testing

@testable import Block

@Suite struct ContentsTests {
    static let uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

    private func probe(_ path: FilePath) throws -> Contents {
        try Contents(probing: OwnedDescriptor.open(path, .readOnly))
    }

    private func expected(_ type: String, usage: String, uuid: String) -> Contents {
        var contents = Contents()
        contents.type = type
        contents.usage = usage
        contents.uuid = uuid
        contents.label = "LABEL"
        return contents
    }

    @Test("An ext4 file system is found with its UUID and label")
    func ext4() async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 8 << 20)
        try await run("mkfs.ext4", "-q", "-F", "-U", Self.uuid, "-L", "LABEL", image.string)
        #expect(try probe(image) == expected("ext4", usage: "filesystem", uuid: Self.uuid))
    }

    @Test("An XFS file system is found with its UUID and label")
    func xfs() async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 320 << 20)
        try await run("mkfs.xfs", "-q", "-m", "uuid=\(Self.uuid)", "-L", "LABEL", image.string)
        #expect(try probe(image) == expected("xfs", usage: "filesystem", uuid: Self.uuid))
    }

    @Test("A btrfs file system is found with its UUID and label")
    func btrfs() async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 128 << 20)
        try await run("mkfs.btrfs", "-q", "-U", Self.uuid, "-L", "LABEL", image.string)
        #expect(try probe(image) == expected("btrfs", usage: "filesystem", uuid: Self.uuid))
    }

    @Test("A vfat file system is found with its volume ID and label, and is no partition table")
    func vfat() async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 4 << 20)
        // Its boot sector ends in 55 AA as a DOS partition table's does.
        try await run("mkfs.vfat", "-i", "ABCD1234", "-n", "LABEL", image.string)
        #expect(try probe(image) == expected("vfat", usage: "filesystem", uuid: "ABCD-1234"))
    }

    static let made: [(String, [String])] = [
        ("ext4", ["mkfs.ext4", "-q", "-F", "-L", "ONE"]), ("ext2", ["mkfs.ext2", "-q", "-F"]),
        ("xfs", ["mkfs.xfs", "-q", "-L", "ONE"]), ("btrfs", ["mkfs.btrfs", "-q"]),
        ("vfat", ["mkfs.vfat", "-n", "ONE"]), ("swap", ["mkswap", "-q", "-L", "ONE"]),
        ("f2fs", ["mkfs.f2fs", "-q"]), ("nilfs2", ["mkfs.nilfs2", "-q"]),
    ]

    @Test(
        "What is in use as what it was is found to be the same, whatever was expected",
        arguments: made)
    func expecting(type: String, command: [String]) async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 320 << 20)
        try await run(command[0], Array(command.dropFirst()) + [image.string])
        let found = try probe(image)
        #expect(found.type == type)
        var relabelled = found
        relabelled.label = "ANOTHER"
        relabelled.uuid = nil
        var (another, partitioned) = (Contents(), found)
        another.type = type == "xfs" ? "ext4" : "xfs"
        another.usage = "filesystem"
        partitioned.partitionTable = "dos"
        for expected in [found, relabelled, another, partitioned, Contents()] {
            let device = try OwnedDescriptor.open(image, .readOnly)
            #expect(try Contents(probing: device, expecting: expected) == found)
            #expect(
                try Fingerprint(of: device, expecting: expected) == Fingerprint(of: device))
        }
    }

    @Test("A swap area is found with its UUID and label")
    func swap() async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 4 << 20)
        try await run("mkswap", "-q", "-U", Self.uuid, "-L", "LABEL", image.string)
        #expect(try probe(image) == expected("swap", usage: "other", uuid: Self.uuid))
    }

    @Test(
        "A label of hostile characters comes out as it was given",
        arguments: ["a b", "\"'`$(x)", "ä%s"])
    func hostileLabel(label: String) async throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 8 << 20)
        try await run("mkfs.ext4", "-q", "-F", "-L", label, image.string)
        #expect(try probe(image).label == label)
    }

    @Test("A DOS partition table is found, and no file system")
    func dosTable() throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 8 << 20)
        let disk = try OwnedDescriptor.open(image, .readWrite)
        try disk.write(PartitionTable.dos(type: 0x83, first: 2048, count: 4096), at: 0)
        #expect(try probe(image) == tableOnly("dos"))
    }

    @Test("A GUID partition table is found, and no file system")
    func gptTable() throws {
        let directory = try TemporaryDirectory()
        let image = try directory.image("image", size: 8 << 20)
        let disk = try OwnedDescriptor.open(image, .readWrite)
        let sectors: UInt64 = (8 << 20) / 512
        try disk.write(
            PartitionTable.dos(type: 0xEE, first: 1, count: UInt32(sectors - 1)), at: 0)
        let (header, entries) = PartitionTable.gpt(sectors: sectors)
        try disk.write(header, at: 512)
        try disk.write(entries, at: 1024)
        #expect(try probe(image) == tableOnly("gpt"))
    }

    private func tableOnly(_ table: String) -> Contents {
        var contents = Contents()
        contents.partitionTable = table
        return contents
    }

    @Test("Nothing is found in a file of zeros", arguments: [512, 4096, 1 << 20] as [UInt64])
    func zeros(size: UInt64) throws {
        let directory = try TemporaryDirectory()
        #expect(try probe(try directory.image("image", size: size)) == Contents())
    }

    @Test("Nothing is found in an empty file")
    func empty() throws {
        let directory = try TemporaryDirectory()
        #expect(try probe(try directory.image("image", size: 0)) == Contents())
    }

    @Test("Two file systems at once are a contradiction, not a guess")
    func ambivalent() async throws {
        let directory = try TemporaryDirectory()
        let xfs = try directory.image("xfs", size: 320 << 20)
        let both = try directory.image("both", size: 320 << 20)
        try await run("mkfs.xfs", "-q", xfs.string)
        try await run("mkfs.ext4", "-q", "-F", both.string)
        // ext4's superblock is at 1024, XFS's at 0: both are whole.
        let superblock = try OwnedDescriptor.open(xfs, .readOnly).read(count: 512, at: 0)
        try OwnedDescriptor.open(both, .readWrite).write(superblock, at: 0)
        let error = SystemError(
            operation: "blkid_do_safeprobe", path: both.string, errno: .invalidArgument)
        #expect(throws: error) { try probe(both) }
    }

    @Test("What isn't a device or a file can't be probed")
    func directory() throws {
        let directory = try TemporaryDirectory()
        #expect(throws: SystemError.self) { try probe(directory.path) }
    }

    @Test("Contents survive JSON, with what is unknown left out")
    func codable() throws {
        let contents = expected("ext4", usage: "filesystem", uuid: Self.uuid)
        let json = try JSONEncoder().encode(contents)
        #expect(try JSONDecoder().decode(Contents.self, from: json) == contents)
        #expect(try JSONDecoder().decode(Contents.self, from: Data("{}".utf8)) == Contents())
    }
}

/// Partition tables, byte for byte.
enum PartitionTable {
    /// The first sector of a DOS table with one partition (of `count` sectors from `first`).
    static func dos(type: UInt8, first: UInt32, count: UInt32) -> [UInt8] {
        var sector = [UInt8](repeating: 0, count: 512)
        sector.replaceSubrange(440..<444, with: little(0x1234_5678 as UInt32))  // disk identifier
        let entry: [UInt8] =
            [0, 0, 2, 0]  // not bootable; first cylinder, head, sector
            + [type, 0xFF, 0xFF, 0xFF]  // the type; last cylinder, head, sector
            + little(first) + little(count)
        sector.replaceSubrange(446..<462, with: entry)
        sector.replaceSubrange(510..<512, with: [0x55, 0xAA])  // the signature
        return sector
    }

    /// The header (for sector 1) and the entries (from sector 2) of a GUID table without partitions.
    static func gpt(sectors: UInt64) -> (header: [UInt8], entries: [UInt8]) {
        let entries = [UInt8](repeating: 0, count: 128 * 128)
        func header(checksum: UInt32) -> [UInt8] {
            Array("EFI PART".utf8)
                + little(0x0001_0000 as UInt32)  // revision 1.0
                + little(92 as UInt32)  // the header's size
                + little(checksum) + little(0 as UInt32)
                + little(1 as UInt64) + little(sectors - 1)  // this header, the other header
                + little(34 as UInt64) + little(sectors - 34)  // the usable sectors, first and last
                + Array(1...16)  // the disk's GUID
                + little(2 as UInt64)  // the entries' first sector
                + little(128 as UInt32) + little(128 as UInt32)  // how many, how long
                + little(crc32(entries))
        }
        return (header(checksum: crc32(header(checksum: 0))), entries)
    }

    private static func little(_ number: some FixedWidthInteger) -> [UInt8] {
        (0..<number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }
}

/// CRC-32 of IEEE 802.3, bit by bit, to hold the library's against.
func crc32(_ bytes: [UInt8], seed: UInt32 = .max) -> UInt32 {
    ~bytes.reduce(seed) { sum, byte in
        (0..<8).reduce(sum ^ UInt32(byte)) { rest, _ in
            rest & 1 == 1 ? rest >> 1 ^ 0xEDB8_8320 : rest >> 1
        }
    }
}

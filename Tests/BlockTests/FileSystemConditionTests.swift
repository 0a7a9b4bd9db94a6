import SystemPackage
import Testing

@testable import Block

/// Fresh file systems, and the same with the bytes changed that a mount changes. What real mounts leave
/// is the integration tests' part.
@Suite struct FileSystemConditionTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func condition(_ path: FilePath) throws -> FileSystemCondition {
        try FileSystemCondition(of: OwnedDescriptor.open(path, .readOnly))
    }

    private func made(_ size: UInt64, _ words: [String]) async throws -> FilePath {
        let image = try directory.image("image", size: size << 20)
        try await run(words[0], words.dropFirst() + [image.string])
        return image
    }

    /// Changes one byte, and gives what the file system is then.
    private func changed(
        _ image: FilePath, at offset: UInt64, _ change: (UInt8) -> UInt8
    ) throws -> FileSystemCondition {
        let file = try OwnedDescriptor.open(image, .readWrite)
        let byte = try #require(try file.read(count: 1, at: offset).first)
        try file.write([change(byte)], at: offset)
        defer { try? file.write([byte], at: offset) }
        return try condition(image)
    }

    @Test(
        "An ext file system is unclean if its journal needs recovery, or it isn't marked valid",
        arguments: ["ext2", "ext3", "ext4"])
    func ext(type: String) async throws {
        let image = try await made(8, ["mkfs.\(type)", "-q", "-F"])
        #expect(try condition(image) == .clean)
        // s_feature_incompat has INCOMPAT_RECOVER (4); s_state has VALID_FS (1) and ERROR_FS (2).
        if type != "ext2" {
            #expect(try changed(image, at: 1024 + 0x60) { $0 | 4 } == .unclean)
        }
        #expect(try changed(image, at: 1024 + 0x3A) { $0 & ~1 } == .unclean)
        #expect(try changed(image, at: 1024 + 0x3A) { $0 | 2 } == .clean)
    }

    @Test(
        "An XFS is clean if its log ends with an unmount",
        arguments: [
            [], ["-l", "su=256k"], ["-b", "size=1024"], ["-s", "size=4096"], ["-m", "crc=0"],
            ["-d", "agcount=3"], ["-l", "version=1", "-m", "crc=0"],
        ])
    func xfs(options: [String]) async throws {
        let image = try await made(320, ["mkfs.xfs", "-q"] + options)
        #expect(try condition(image) == .clean)
        let file = try OwnedDescriptor.open(image, .readOnly)
        let superblock = try ByteFields(file, at: 0, count: 512)
        let log = try #require(XFSLog(superblock: superblock, size: try file.size()))
        // mkfs writes one record, at the log's beginning: a header with the magic number, then an
        // operation whose flags have XLOG_UNMOUNT_TRANS (0x20).
        let headers: UInt64 = options.contains("su=256k") ? 8 : 1
        let operation = log.start + headers * 512
        #expect(try file.read(count: 4, at: log.start) == [0xFE, 0xED, 0xBA, 0xBE])
        #expect(try file.read(count: 1, at: operation + 9) == [0x20])
        #expect(try changed(image, at: operation + 9) { _ in 0 } == .unclean)
        // More operations than one, and a record that ends elsewhere.
        #expect(try changed(image, at: log.start + 43) { $0 + 1 } == .unclean)
        #expect(try changed(image, at: log.start + 14) { $0 + 4 } == .unclean)
        // Something of the same round behind the end.
        #expect(try changed(image, at: log.start + 512 * 700 + 3) { _ in 1 } == .unclean)
    }

    @Test("An XFS whose log is on another device, or not on this one, is unknown")
    func xfsElsewhere() async throws {
        let image = try await made(320, ["mkfs.xfs", "-q"])
        let file = try OwnedDescriptor.open(image, .readWrite)
        let superblock = try file.read(count: 512, at: 0)
        for (offset, bytes) in [
            (48, [UInt8](repeating: 0, count: 8)),  // sb_logstart: none is an external log
            (48, [UInt8](repeating: 0xFF, count: 8)), (84, [0xFF, 0xFF, 0xFF, 0xFF]),
            (96, [0, 0, 0, 0]), (96, [0xFF, 0xFF, 0xFF, 0xFF]), (120, [63]), (120, [0]),
            (124, [64]), (124, [33]), (124, [0]),
        ] as [(UInt64, [UInt8])] {
            try file.write(bytes, at: offset)
            let found = try FileSystemCondition(of: file, type: "xfs")
            #expect(found == .unknown, "\(bytes) at \(offset)")
            try file.write(superblock, at: 0)
        }
    }

    @Test("A btrfs with a log tree is unclean; without one nothing is known")
    func btrfs() async throws {
        let image = try await made(128, ["mkfs.btrfs", "-q"])
        #expect(try condition(image) == .unknown)
        // Its superblock has a checksum, so libblkid doesn't take this for a btrfs any more.
        let file = try OwnedDescriptor.open(image, .readWrite)
        try file.write([1], at: (64 << 10) + 0x60 + 2)
        #expect(try FileSystemCondition(of: file, type: "btrfs") == .unclean)
    }

    @Test(
        "A FAT is unclean by its state's bit, and by the bit of its second entry",
        arguments: [("12", 1, 37, nil), ("16", 32, 37, 3), ("32", 64, 65, 7)]
            as [(String, UInt64, UInt64, UInt64?)])
    func fat(bits: String, size: UInt64, state: UInt64, entry: UInt64?) async throws {
        let image = try await made(size, ["mkfs.vfat", "-F", bits])
        #expect(try condition(image) == .clean)
        #expect(try changed(image, at: state) { $0 | 1 } == .unclean)
        guard let entry else { return }
        let sector = try ByteFields(OwnedDescriptor.open(image, .readOnly), at: 0, count: 512)
        let reserved = try #require(sector.little(UInt16.self, at: 14))
        // The entry's highest byte: 0xFF of FAT16's, 0x0F of FAT32's 28 bits.
        let place = UInt64(reserved) * 512 + entry
        #expect(try changed(image, at: place) { $0 & (bits == "16" ? 0x7F : 0xF7) } == .unclean)
    }

    @Test("An f2fs is unclean if its newer checkpoint is no unmount's")
    func f2fs() async throws {
        let image = try await made(64, ["mkfs.f2fs", "-q"])
        #expect(try condition(image) == .unknown)
        let file = try OwnedDescriptor.open(image, .readWrite)
        let superblock = try ByteFields(file, at: 1024, count: 1024)
        let block = UInt64(try #require(superblock.little(UInt32.self, at: 76)))
        var checkpoint = try file.read(count: 4096, at: block * 4096)
        let place = Int(try #require(ByteFields(checkpoint).little(UInt32.self, at: 164)))
        #expect(checkpoint[132] & 1 == 1)
        checkpoint[132] &= ~1
        try file.write(checkpoint, at: block * 4096)
        // Its checksum is wrong now, so it is none, and the other checkpoint is empty or older.
        #expect(try condition(image) == .unknown)
        let sum = ~crc32(Array(checkpoint.prefix(place)), seed: 0xF2F5_2010)
        checkpoint.replaceSubrange(
            place..<place + 4, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) })
        try file.write(checkpoint, at: block * 4096)
        #expect(try condition(image) == .unclean)
    }

    @Test("What is no file system, or one without such a note, is unknown")
    func others() async throws {
        #expect(try condition(try directory.image("zeros", size: 1 << 20)) == .unknown)
        #expect(try condition(try directory.image("empty", size: 0)) == .unknown)
        let swap = try await made(4, ["mkswap", "-q"])
        #expect(try condition(swap) == .unknown)
    }

    @Test(
        "Whatever the fields say, nothing is read past the device and no number overflows",
        arguments: [
            (["mkfs.xfs", "-q"], 320, "xfs"), (["mkfs.vfat", "-F", "32"], 64, "vfat"),
            (["mkfs.vfat", "-F", "16"], 32, "vfat"), (["mkfs.f2fs", "-q"], 64, "f2fs"),
            (["mkfs.ext4", "-q", "-F"], 8, "ext4"), (["mkfs.btrfs", "-q"], 128, "btrfs"),
        ] as [([String], UInt64, String)])
    func hostile(words: [String], size: UInt64, type: String) async throws {
        let image = try await made(size, words)
        let file = try OwnedDescriptor.open(image, .readWrite)
        let offset: UInt64 =
            switch type {
            case "btrfs": 64 << 10
            case "xfs", "vfat": 0
            default: 1024
            }
        let good = try file.read(count: 512, at: offset)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var bad = good
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let place = Int.random(in: 4..<132, using: &random)
                bad[place] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
            }
            try file.write(bad, at: offset)
            _ = try FileSystemCondition(of: file, type: type)
        }
        // Every type's reader on another's bytes, and on a device that ends in its first sector.
        let short = try directory.image("short", size: 512)
        try OwnedDescriptor.open(short, .readWrite).write(good, at: 0)
        for other in ["ext4", "xfs", "btrfs", "vfat", "f2fs", "ntfs"] {
            _ = try FileSystemCondition(of: file, type: other)
            _ = try FileSystemCondition(of: OwnedDescriptor.open(short, .readOnly), type: other)
        }
    }
}

@Suite struct ByteFieldsTests {
    @Test("Numbers are read in both orders, and none past the end or before the beginning")
    func numbers() {
        let fields = ByteFields([1, 2, 3, 4, 5, 6, 7, 8, 9])
        #expect(fields.little(UInt8.self, at: 8) == 9)
        #expect(fields.big(UInt8.self, at: 0) == 1)
        #expect(fields.little(UInt16.self, at: 1) == 0x0302)
        #expect(fields.big(UInt32.self, at: 5) == 0x0607_0809)
        #expect(fields.big(UInt64.self, at: 1) == 0x0203_0405_0607_0809)
        #expect(fields.little(UInt64.self, at: 0) == 0x0807_0605_0403_0201)
        #expect(fields.big(UInt64.self, at: 2) == nil)
        #expect(fields.little(UInt8.self, at: 9) == nil)
        #expect(fields.little(UInt16.self, at: -1) == nil)
        #expect(fields.big(UInt32.self, at: .max) == nil)
        #expect(ByteFields([]).big(UInt32.self, at: 0) == nil)
        #expect(ByteFields(Array("xABC".utf8)).has("ABC", at: 1))
        #expect(!ByteFields(Array("xAB".utf8)).has("ABC", at: 1))
    }
}

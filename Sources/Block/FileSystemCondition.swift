internal import CZlib

/// Whether a file system was unmounted properly, as far as its own bytes tell.
public enum FileSystemCondition: String, Hashable, Sendable, Codable {
    /// It is mounted for writing now, or was when the machine stopped: its journal, log or state say so.
    /// The next mount, a read-only one, too, or fsck is going to write.
    case unclean
    /// It says that it was unmounted, or was never mounted.
    case clean
    /// It keeps no such note, or none that is known here; or what it keeps makes no sense.
    case unknown

    /// What an open device or an image file holds, by libblkid and by the file system's own fields.
    ///
    /// Reads a few KiB, of XFS up to 4 MiB of its log. A mounted device's page cache may be older than
    /// what the file system has in memory.
    public init(of device: borrowing OwnedDescriptor) throws(SystemError) {
        // What can't be told apart is nothing to read fields of.
        try self.init(of: device, type: (try? Contents(probing: device))?.type)
    }

    /// The same, of a known type of file system (libblkid's: `ext4`, `vfat`).
    public init(
        of device: borrowing OwnedDescriptor, type: String?
    ) throws(SystemError) {
        switch type {
        case "ext2", "ext3", "ext4": self = try Self.ext(device)
        case "xfs": self = try XFSLog.condition(device)
        case "btrfs": self = try Self.btrfs(device)
        case "vfat": self = try Self.fat(device)
        case "f2fs": self = try Self.f2fs(device)
        default: self = .unknown
        }
    }

    /// When the file system of an open device or an image file says that it was last checked, in seconds
    /// since 1970. Of those that are known here the ext family alone does.
    public static func lastCheck(
        of device: borrowing OwnedDescriptor
    ) throws(SystemError) -> UInt64? {
        let superblock = try ByteFields(device, at: 1024, count: 1024)
        guard superblock.little(UInt16.self, at: 0x38) == 0xEF53,
            let low = superblock.little(UInt32.self, at: 0x40),
            let high = superblock.little(UInt8.self, at: 0x277)
        else { return nil }
        return UInt64(high) << 32 | UInt64(low)
    }

    /// fs/ext4/ext4.h. With a journal a mount sets `needs_recovery`; without one, and in ext2, it takes
    /// the valid mark away. An error that was noted doesn't count: that is another matter.
    private static func ext(
        _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> FileSystemCondition {
        let superblock = try ByteFields(device, at: 1024, count: 1024)
        guard superblock.little(UInt16.self, at: 0x38) == 0xEF53,
            let state = superblock.little(UInt16.self, at: 0x3A),
            let incompatible = superblock.little(UInt32.self, at: 0x60)
        else { return .unknown }
        let isValid = state & 1 != 0
        let needsRecovery = incompatible & 4 != 0
        return isValid && !needsRecovery ? .clean : .unclean
    }

    /// fs/btrfs/ctree.h. A log tree there is only between an fsync and the next commit, so that there
    /// is none says nothing.
    private static func btrfs(
        _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> FileSystemCondition {
        let superblock = try ByteFields(device, at: 64 << 10, count: 4096)
        guard superblock.has("_BHRfS_M", at: 0x40),
            let log = superblock.little(UInt64.self, at: 0x60)
        else { return .unknown }
        return log == 0 ? .unknown : .unclean
    }

    /// include/uapi/linux/msdos_fs.h. Linux sets the state's first bit while it is mounted for writing;
    /// others clear a bit of the second entry of the FAT (which FAT12 doesn't have).
    private static func fat(
        _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> FileSystemCondition {
        let sector = try ByteFields(device, at: 0, count: 512)
        guard let sectorSize = sector.little(UInt16.self, at: 11), sectorSize > 0,
            let clusterSize = sector.little(UInt8.self, at: 13), clusterSize > 0,
            let reserved = sector.little(UInt16.self, at: 14),
            let fats = sector.little(UInt8.self, at: 16),
            let rootEntries = sector.little(UInt16.self, at: 17),
            let small = sector.little(UInt16.self, at: 19),
            let length16 = sector.little(UInt16.self, at: 22),
            let large = sector.little(UInt32.self, at: 32),
            let length32 = sector.little(UInt32.self, at: 36),
            let state = sector.little(UInt8.self, at: length16 == 0 ? 65 : 37)
        else { return .unknown }
        if state & 1 != 0 { return .unclean }
        // Every number here has at most 32 bits, so no sum or product overflows 64.
        let table = UInt64(reserved) * UInt64(sectorSize)
        let second = try ByteFields(device, at: table, count: 8)
        if length16 == 0 {
            guard length32 > 0, let entry = second.little(UInt32.self, at: 4) else {
                return .unknown
            }
            return entry & 0x0800_0000 != 0 ? .clean : .unclean
        }
        let all = small != 0 ? UInt64(small) : UInt64(large)
        let root =
            (UInt64(rootEntries) * 32 + UInt64(sectorSize) - 1) / UInt64(sectorSize)
        let taken = UInt64(reserved) + UInt64(fats) * UInt64(length16) + root
        guard taken <= all else { return .unknown }
        // As fs/fat/inode.c tells FAT12 (MAX_FAT12).
        if (all - taken) / UInt64(clusterSize) <= 4084 { return .clean }
        guard let entry = second.little(UInt16.self, at: 2) else { return .unknown }
        return entry & 0x8000 != 0 ? .clean : .unclean
    }

    /// include/linux/f2fs_fs.h. The newer of two checkpoints has a mark if an unmount wrote it. A mount
    /// writes none at its beginning, so that there is the mark says nothing.
    private static func f2fs(
        _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> FileSystemCondition {
        let superblock = try ByteFields(device, at: 1024, count: 1024)
        guard superblock.little(UInt32.self, at: 0) == 0xF2F5_2010,
            superblock.little(UInt32.self, at: 16) == 12,
            let segmentShift = superblock.little(UInt32.self, at: 20), segmentShift <= 20,
            let first = superblock.little(UInt32.self, at: 76)
        else { return .unknown }
        var newest: (version: UInt64, flags: UInt32)?
        for block in [UInt64(first), UInt64(first) + 1 << segmentShift] {
            let bytes = try device.read(count: 4096, at: block * 4096)
            guard let found = checkpoint(bytes) else { continue }
            if found.version > newest?.version ?? 0 { newest = found }
        }
        guard let newest else { return .unknown }
        return newest.flags & 1 != 0 ? .unknown : .unclean
    }

    private static func checkpoint(_ bytes: [UInt8]) -> (version: UInt64, flags: UInt32)? {
        let fields = ByteFields(bytes)
        guard let version = fields.little(UInt64.self, at: 0),
            let flags = fields.little(UInt32.self, at: 132),
            let place = fields.little(UInt32.self, at: 164), place >= 192, place <= 4092,
            let checksum = fields.little(UInt32.self, at: Int(place))
        else { return nil }
        // f2fs_crc32: seeded with the magic number, and not inverted as zlib's is.
        let computed = unsafe bytes.prefix(Int(place)).withUnsafeBufferPointer {
            unsafe crc32(UInt(~(0xF2F5_2010 as UInt32)), $0.baseAddress, UInt32($0.count))
        }
        return ~UInt32(computed) == checksum ? (version, flags) : nil
    }
}

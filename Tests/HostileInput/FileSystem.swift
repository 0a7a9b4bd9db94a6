import Block
import SystemPackage

/// The first byte chooses the type, the rest is the device's beginning, or what lies where btrfs has its
/// superblock. Whatever the bytes are: no trap, and an inode has either no place or one of a sensible length.
enum FileSystemReading {
    private static let file = ScratchFile("filesystem")
    private static let types = ["ext4", "xfs", "btrfs", "vfat"]
    private static let size = 64 << 20
    /// Where btrfs has its first one.
    private static let superblock = 64 << 10

    static func check(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let type = types[Int(first) % types.count]
        let start = type == "btrfs" ? superblock : 0
        file.fill([UInt8](repeating: 0, count: start) + bytes.dropFirst(), size: size)
        guard let device = try? OwnedDescriptor.open(file.path, .readOnly) else { return }
        _ = try? FileSystemCondition(of: device, type: type)
        guard let table = try? InodeTable(of: device, type: type) else { return }
        for inode in [0, 1, 2, 11, 1 << 20, 1 << 31, 1 << 40, .max] as [UInt64] {
            guard let place = table.place(of: inode) else { continue }
            precondition((128...65536).contains(place.count))
        }
    }
}

internal import CLinux
public import SystemPackage

/// The kernel's list of the devices on which it has seen a btrfs (`device_list_add` in fs/btrfs/volumes.c).
///
/// Of each it keeps the name by which it was seen last and the generation that the file system had. Under another
/// name it takes no older one: the mount fails with EEXIST. What was put back is older.
public enum BtrfsDevices {
    /// Has the kernel forget a device, by whichever of its names, unless it is mounted. Of an image: the loop
    /// devices that it may have been attached to, which are those that nothing is.
    public static func forget(_ device: FilePath) {
        guard let control else { return }
        let isBlock = (try? FileStatus(device).kind) == .blockDevice
        for path in isBlock ? [device] : freeLoops {
            _ = unsafe path.withPlatformString {
                unsafe clinux_btrfs_forget(control.descriptor.rawValue, $0)
            }
        }
    }

    /// Has the kernel look at a block device, as udev does when it appears.
    public static func scan(_ device: FilePath) {
        guard let control else { return }
        _ = unsafe device.withPlatformString {
            unsafe clinux_btrfs_scan(control.descriptor.rawValue, $0)
        }
    }

    /// Nil without a btrfs in the kernel: then nothing is known of any.
    private static var control: OwnedDescriptor? {
        guard Files.exists("/sys/fs/btrfs") else { return nil }
        return try? OwnedDescriptor.open("/dev/btrfs-control", .readWrite)
    }

    private static var freeLoops: [FilePath] {
        ((try? Files.list("/sys/block")) ?? []).filter { name in
            name.hasPrefix("loop") && !Files.exists(FilePath("/sys/block/\(name)/loop"))
        }.map { FilePath("/dev/\($0)") }
    }
}

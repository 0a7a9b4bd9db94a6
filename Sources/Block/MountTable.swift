internal import CMount
internal import Glibc
public import SystemPackage

/// One line of /proc/self/mountinfo.
public struct Mount: Hashable, Sendable {
    /// st_dev of files in it: of a block device's file system its number, but an anonymous one for
    /// btrfs and the like.
    public let number: DeviceNumber
    /// The device or whatever the file system calls its source: `/dev/sdb1`, `tmpfs`.
    public let source: String
    public let target: String
    public let type: String
    public let options: String

    public init(
        number: DeviceNumber, source: String, target: String, type: String, options: String
    ) {
        self.number = number
        self.source = source
        self.target = target
        self.type = type
        self.options = options
    }
}

/// The mounts that this process's namespace has, read with libmount.
public enum MountTable {
    /// - Throws: ENOMEM or what reading /proc/self/mountinfo failed with.
    public static func read() throws(SystemError) -> [Mount] {
        let path = "/proc/self/mountinfo"
        guard let table = unsafe mnt_new_table_from_file(path),
            let iterator = unsafe mnt_new_iter(CInt(MNT_ITER_FORWARD))
        else {
            throw SystemError(
                operation: "mnt_new_table_from_file", path: path, errno: Errno(rawValue: errno))
        }
        defer {
            unsafe mnt_free_iter(iterator)
            unsafe mnt_unref_table(table)
        }
        var mounts: [Mount] = []
        var entry: OpaquePointer?
        while unsafe mnt_table_next_fs(table, iterator, &entry) == 0, let fs = unsafe entry {
            let source = unsafe text(mnt_fs_get_srcpath(fs) ?? mnt_fs_get_source(fs))
            mounts.append(
                Mount(
                    number: unsafe DeviceNumber(UInt64(mnt_fs_get_devno(fs))),
                    source: source,
                    target: unsafe text(mnt_fs_get_target(fs)),
                    type: unsafe text(mnt_fs_get_fstype(fs)),
                    options: unsafe text(mnt_fs_get_options(fs))))
        }
        return mounts
    }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer = unsafe pointer else { return "" }
        return unsafe String(cString: pointer)
    }

    /// The mounts of the device with this number, the first mounted first.
    ///
    /// The source counts as well: btrfs gives its files an anonymous device number.
    public static func mounts(of number: DeviceNumber) throws(SystemError) -> [Mount] {
        try read().filter { mount in
            mount.number == number || deviceNumber(ofSource: mount.source) == number
        }
    }

    /// The block device that the file system holding `path` is on; nil if it is on none.
    public static func device(holding path: FilePath) -> DeviceNumber? {
        guard let status = try? FileStatus(path), let mounts = try? read(),
            let resolved = try? Files.resolve(path)
        else { return nil }
        // Where the number isn't a device's own, the innermost mount around the path tells.
        let number = DeviceNumber(status.fileSystem)
        if Files.exists(Sysfs.directory(number)) { return number }
        let around = mounts.filter { resolved.starts(with: FilePath($0.target)) }
        let innermost = around.max { $0.target.utf8.count <= $1.target.utf8.count }
        return innermost.flatMap { deviceNumber(ofSource: $0.source) }
    }

    private static func deviceNumber(ofSource source: String) -> DeviceNumber? {
        guard source.hasPrefix("/dev/"), let status = try? FileStatus(FilePath(source)),
            status.kind == .blockDevice
        else { return nil }
        return status.deviceNumber
    }
}

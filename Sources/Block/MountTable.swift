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
    /// Where it is mounted, unescaped.
    public let target: String
    /// The file system's type: `ext4`.
    public let type: String
    /// The mount's and the file system's options together, separated by commas.
    public let options: String

    /// One mount, from its parts.
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
        try read("/proc/self/mountinfo")
    }

    /// Unmounts the uppermost of what is mounted on a directory.
    public static func unmount(_ directory: FilePath) throws(SystemError) {
        try systemCall("umount", directory.string) {
            unsafe directory.withPlatformString { unsafe umount2($0, 0) }
        }
    }

    /// The mounts in a file of mountinfo's format (proc_pid_mountinfo(5)).
    static func read(_ path: FilePath) throws(SystemError) -> [Mount] {
        guard let table = unsafe mnt_new_table_from_file(path.string) else {
            throw SystemError(
                operation: "mnt_new_table_from_file", path: path.string,
                errno: Errno(rawValue: errno))
        }
        defer { unsafe mnt_unref_table(table) }
        guard let iterator = unsafe mnt_new_iter(CInt(MNT_ITER_FORWARD)) else {
            throw SystemError(operation: "mnt_new_iter", path: path.string, errno: .noMemory)
        }
        defer { unsafe mnt_free_iter(iterator) }
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
        try read().filter { isOf(number, $0) }
    }

    static func isOf(_ number: DeviceNumber, _ mount: Mount) -> Bool {
        mount.number == number || deviceNumber(ofSource: mount.source) == number
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

    /// Where /etc/fstab (fstab(5)) has a file system mounted around a path that isn't mounted; nil if it is, or
    /// the file has none there.
    public static func missingMount(around path: FilePath) -> FilePath? {
        // Without the file, or one of whose lines not all can be read, nobody knows better.
        guard let wanted = try? read("/etc/fstab"), let mounts = try? read() else { return nil }
        return missing(of: wanted, in: mounts, around: path)
    }

    static func missing(
        of wanted: [Mount], in mounts: [Mount], around path: FilePath
    ) -> FilePath? {
        let places = wanted.map { FilePath($0.target) }.filter { place in
            // Something is on / for whoever asks, though a chroot's table may not have it.
            place.isAbsolute && !place.components.isEmpty && path.starts(with: place)
                && !mounts.contains { FilePath($0.target) == place }
        }
        return places.max { $0.components.count < $1.components.count }
    }

    private static func deviceNumber(ofSource source: String) -> DeviceNumber? {
        guard source.hasPrefix("/dev/"), let status = try? FileStatus(FilePath(source)),
            status.kind == .blockDevice
        else { return nil }
        return status.deviceNumber
    }
}

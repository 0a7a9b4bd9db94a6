internal import CLinux
internal import Glibc
public import SystemPackage

/// A block device's number, written `8:16` as in sysfs and device-mapper tables.
public struct DeviceNumber: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// The driver's part.
    public let major: UInt32
    /// The driver's own number of the device.
    public let minor: UInt32

    /// The device `major:minor`.
    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// From `dev_t` as stat(2) gives it.
    public init(_ device: UInt64) {
        major = clinux_major(dev_t(device))
        minor = clinux_minor(dev_t(device))
    }

    /// - Parameter description: `major:minor` in decimal, as `description` gives it and nothing else.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else {
            return nil
        }
        self.init(major: major, minor: minor)
        // Swift's integers take `+8` and `08`, which no kernel writes.
        if self.description != description { return nil }
    }

    /// As `dev_t`.
    public var rawValue: UInt64 {
        UInt64(clinux_makedev(major, minor))
    }

    /// `8:16`.
    public var description: String {
        "\(major):\(minor)"
    }
}

/// What stat(2) says of a file, as far as it matters here.
public struct FileStatus: Sendable {
    /// The file types that matter here.
    public enum Kind: Sendable {
        case regular, blockDevice, directory, symbolicLink, other
    }

    /// What it is.
    public let kind: Kind
    /// The number of the device that this file *is*, if it is one.
    public let deviceNumber: DeviceNumber
    /// The file system's device and the inode: what makes two paths the same file.
    public let fileSystem: UInt64
    /// The other half of the file's identity.
    public let inode: UInt64
    /// A regular file's length; 0 for a device.
    public let size: ByteCount
    /// Bytes that the file takes on its file system: less than `size` if it is sparse.
    public let allocated: ByteCount
    /// The owner's user id.
    public let owner: UInt32
    /// The mode's low twelve bits.
    public let permissions: UInt32
    /// When the contents were changed last, and when anything about the file was, in nanoseconds since
    /// 1970; 0 for a device.
    public let modified, changed: Int64

    /// A block device's node, from what matters of it.
    public init(blockDevice number: DeviceNumber) {
        kind = .blockDevice
        deviceNumber = number
        fileSystem = 0
        inode = 0
        size = ByteCount(0)
        allocated = ByteCount(0)
        owner = 0
        permissions = 0o600
        modified = 0
        changed = 0
    }

    /// - Parameter follow: whether a symbolic link stands for what it points to.
    public init(_ path: FilePath, follow: Bool = true) throws(SystemError) {
        var status = stat()
        try systemCall("stat", path.string) {
            unsafe path.withPlatformString {
                unsafe follow ? stat($0, &status) : lstat($0, &status)
            }
        }
        self.init(status)
    }

    init(_ status: stat) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFBLK: kind = .blockDevice
        case S_IFDIR: kind = .directory
        case S_IFLNK: kind = .symbolicLink
        default: kind = .other
        }
        deviceNumber = DeviceNumber(UInt64(status.st_rdev))
        fileSystem = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = ByteCount(UInt64(max(0, status.st_size)))
        allocated = ByteCount(UInt64(max(0, status.st_blocks)) * 512)
        owner = status.st_uid
        permissions = UInt32(status.st_mode & 0o7777)
        modified = Self.nanoseconds(status.st_mtim)
        changed = Self.nanoseconds(status.st_ctim)
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        // A file system may have any number there.
        let (seconds, isTooMuch) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isMore) = seconds.addingReportingOverflow(Int64(time.tv_nsec))
        return isTooMuch || isMore ? 0 : sum
    }
}

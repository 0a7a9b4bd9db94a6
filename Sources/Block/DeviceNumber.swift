internal import CLinux
internal import Glibc
public import SystemPackage

/// A block device's number, written `8:16` as in sysfs and device-mapper tables.
public struct DeviceNumber: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    public let major: UInt32
    public let minor: UInt32

    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// From `dev_t` as stat(2) gives it.
    public init(_ device: UInt64) {
        major = clinux_major(dev_t(device))
        minor = clinux_minor(dev_t(device))
    }

    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else {
            return nil
        }
        self.init(major: major, minor: minor)
    }

    /// As `dev_t`.
    public var rawValue: UInt64 {
        UInt64(clinux_makedev(major, minor))
    }

    public var description: String {
        "\(major):\(minor)"
    }
}

/// What stat(2) says of a file, as far as it matters here.
public struct FileStatus: Sendable {
    public enum Kind: Sendable {
        case regular, blockDevice, directory, other
    }

    public let kind: Kind
    /// The number of the device that this file *is*, if it is one.
    public let deviceNumber: DeviceNumber
    /// The file system's device and the inode: what makes two paths the same file.
    public let fileSystem: UInt64
    public let inode: UInt64
    public let size: ByteCount
    /// Bytes that the file takes on its file system: less than `size` if it is sparse.
    public let allocated: ByteCount
    public let owner: UInt32
    public let permissions: UInt32

    /// - Parameter follow: whether a symbolic link stands for what it points to.
    public init(_ path: FilePath, follow: Bool = true) throws(SystemError) {
        var status = stat()
        try systemCall("stat", path.string) {
            unsafe path.withPlatformString {
                unsafe follow ? stat($0, &status) : lstat($0, &status)
            }
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFBLK: kind = .blockDevice
        case S_IFDIR: kind = .directory
        default: kind = .other
        }
        deviceNumber = DeviceNumber(UInt64(status.st_rdev))
        fileSystem = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = ByteCount(UInt64(max(0, status.st_size)))
        allocated = ByteCount(UInt64(max(0, status.st_blocks)) * 512)
        owner = status.st_uid
        permissions = UInt32(status.st_mode & 0o7777)
    }
}

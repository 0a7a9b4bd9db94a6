internal import CLinux
internal import Glibc
public import SystemPackage

/// A file system that is mounted read-only and in no directory: its files are reached through this value
/// alone, and it is unmounted with it, however the program ends.
public struct DetachedMount: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    /// Mounts the file system on a block device.
    ///
    /// Programs in it get no rights by their set-uid bits, and device nodes in it lead nowhere.
    ///
    /// - Parameters:
    ///   - type: the kernel's name of the file system: `ext4`.
    ///   - options: `key` or `key=value`, beside `ro`.
    public init(
        of device: FilePath, type: String, options: [String]
    ) throws(MountFailure) {
        var message = [CChar](repeating: 0, count: 512)
        var words = unsafe options.map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        let opened = unsafe clinux_mount_detached(
            type, device.string, &words, &message, message.count)
        guard opened >= 0 else {
            let errno = Errno(rawValue: Glibc.errno)
            let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw MountFailure(errno: errno, message: String(decoding: text, as: UTF8.self))
        }
        let kept = clinux_above_standard(opened)
        guard kept >= 0 else {
            throw MountFailure(errno: Errno(rawValue: Glibc.errno), message: "")
        }
        descriptor = FileDescriptor(rawValue: kept)
    }

    deinit {
        try? descriptor.close()
    }

    /// Its root, for this process alone.
    public var root: FilePath { FilePath("/proc/self/fd/\(descriptor.rawValue)") }

    /// For calls that take a descriptor of a directory; valid as long as this value is.
    public var rootDescriptor: Int32 { descriptor.rawValue }

    /// Puts it into a directory, where everybody sees it, and where it stays.
    public func attach(to directory: FilePath) throws(SystemError) {
        try systemCall("mount", directory.string) {
            unsafe clinux_mount_attach(descriptor.rawValue, directory.string)
        }
    }
}

/// A file system that can't be mounted.
public struct MountFailure: Error, Sendable, CustomStringConvertible {
    /// The kernel's answer.
    public let errno: Errno
    /// What the file system said of it, "" if nothing.
    public let message: String

    /// Both, for people.
    public var description: String {
        message.isEmpty
            ? "\(errno); see the kernel's log (dmesg) for its reason" : "\(errno) (\(message))"
    }
}

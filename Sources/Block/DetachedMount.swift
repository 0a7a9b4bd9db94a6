internal import CLinux
internal import Glibc
public import SystemPackage

/// A file system that is mounted in no directory: its files are reached through this value alone, and it is
/// unmounted with it, however the program ends.
public struct DetachedMount: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    /// Mounts the file system on a block device.
    ///
    /// Unless it is to be writable, programs in it get no rights by their set-uid bits, and device nodes in
    /// it lead nowhere.
    ///
    /// - Parameters:
    ///   - type: the kernel's name of the file system: `ext4`.
    ///   - options: `key` or `key=value`, beside `ro`.
    public init(
        of device: FilePath, type: String, options: [String], isWritable: Bool = false
    ) throws(MountFailure) {
        var message = [CChar](repeating: 0, count: 512)
        var words = unsafe options.map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        let opened = unsafe clinux_mount_detached(
            type, device.string, &words, isWritable ? 1 : 0, &message, message.count)
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

/// A command that runs where a file system is mounted for it alone.
extension DetachedMount {
    /// Why a command didn't run.
    public enum Failure: Error, Sendable {
        /// The kernel gives no namespaces, or doesn't mount it in the directory.
        case system(SystemError)
        /// There is no such program, or it can't be run.
        case command(Errno)
    }

    /// Runs a command, found by PATH, that sees this mounted on a directory, as nobody else does. With its
    /// end, and with this program's, every process that it has left is killed.
    ///
    /// SIGTERM and SIGHUP go on to it.
    ///
    /// - Returns: its exit status; 128 + N for a signal.
    public func run(_ command: [String], on directory: FilePath) throws(Failure) -> Int32 {
        var words = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var step: Int32 = 0
        let status = unsafe clinux_run_confined(
            descriptor.rawValue, directory.string, &words, &step)
        if status >= 0 { return status }
        let errno = Errno(rawValue: Glibc.errno)
        switch Int(step) {
        case CLINUX_CONFINED_EXEC: throw .command(errno)
        case CLINUX_CONFINED_MOUNT:
            throw .system(
                SystemError(operation: "mount", path: directory.string, errno: errno))
        default: throw .system(SystemError(operation: "clone", path: command[0], errno: errno))
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

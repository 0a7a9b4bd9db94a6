import Block
import CLinux
import CMount
import Glibc
import SystemPackage

/// Something that wakes the monitor: a descriptor to poll, and how to take what it has.
struct EventSource {
    let name: String
    let descriptor: CInt
    /// Reads everything that is there; false if none of it concerns us.
    let take: () -> Bool
}

/// The monitor's sources. Each is as good as any other: whatever wakes it, it looks at everything.
enum EventSources {
    /// Mounts and unmounts of this namespace (libmount's monitor of /proc/self/mountinfo).
    static func mounts() throws(SystemError) -> EventSource {
        let path = "/proc/self/mountinfo"
        guard let monitor = unsafe mnt_new_monitor(),
            unsafe mnt_monitor_enable_kernel(monitor, 1) == 0
        else {
            throw SystemError(operation: "mnt_monitor", path: path, errno: Errno(rawValue: errno))
        }
        let descriptor = unsafe mnt_monitor_get_fd(monitor)
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "mnt_monitor_get_fd", path: path, errno: Errno(rawValue: -descriptor))
        }
        return EventSource(name: "mounts", descriptor: descriptor) {
            // The file stays ready until it has been read again; this does it.
            unsafe mnt_monitor_event_cleanup(monitor)
            return true
        }
    }

    /// Block devices that udev's rules have been through: one that appeared, one that was written and
    /// closed, or one whose probing has ended; and those that went away.
    ///
    /// Seen by udev's own notes on its devices (`b8:1`), which it renames into their directory after
    /// the rules, or removes: its netlink events don't reach the network namespace of its own that the
    /// unit gives the monitor.
    static func udev() throws(SystemError) -> EventSource {
        let directory = FilePath("/run/udev/data")
        // Before its first device udev has none.
        try Files.makeDirectory(directory, permissions: 0o755)
        let descriptor = try watchNames(directory)
        return EventSource(name: "udev", descriptor: descriptor) {
            clinux_take_names(descriptor, CChar(UInt8(ascii: "b"))) != 0
        }
    }

    /// Device-mapper's own events: a snapshot that became invalid.
    static func deviceMapper() throws(SystemError) -> EventSource {
        let control = try FileDescriptor.openControl()
        _ = clinux_dm_arm_poll(control)
        return EventSource(name: "device-mapper", descriptor: control) {
            // Armed again before anything is looked at, so that no event falls in between.
            _ = clinux_dm_arm_poll(control)
            return true
        }
    }

    /// A new registry: a device was activated or deactivated, or a session opened.
    static func registry(_ directory: FilePath) throws(SystemError) -> EventSource {
        let descriptor = try watchNames(directory)
        return EventSource(name: "registry", descriptor: descriptor) {
            clinux_drain(descriptor)
            return true
        }
    }

    private static func watchNames(_ directory: FilePath) throws(SystemError) -> CInt {
        let descriptor = unsafe directory.withPlatformString { unsafe clinux_watch_names($0) }
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "inotify", path: directory.string, errno: Errno(rawValue: errno))
        }
        return descriptor
    }

    /// SIGTERM, SIGINT and SIGHUP.
    static func termination(_ stop: @escaping () -> Void) throws(SystemError) -> EventSource {
        let descriptor = clinux_termination_fd()
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "signalfd", path: "signals", errno: Errno(rawValue: errno))
        }
        return EventSource(name: "signals", descriptor: descriptor) {
            clinux_drain(descriptor)
            stop()
            return false
        }
    }
}

extension FileDescriptor {
    fileprivate static func openControl() throws(SystemError) -> CInt {
        let path = "/dev/mapper/control"
        do {
            return try open(FilePath(path), .readWrite, options: [.closeOnExec]).rawValue
        } catch {
            throw SystemError(
                operation: "open", path: path, errno: error as? Errno ?? .ioError)
        }
    }
}

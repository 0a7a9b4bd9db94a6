import Block
import CLinux
import CMount
import CUdev
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

    /// Events of block devices that udev's rules have been through: a device that appeared, one
    /// that was written and closed, or one whose probing has ended.
    static func udev() throws(SystemError) -> EventSource {
        guard let udev = unsafe udev_new(),
            let monitor = unsafe udev_monitor_new_from_netlink(udev, "udev"),
            unsafe udev_monitor_filter_add_match_subsystem_devtype(monitor, "block", nil) >= 0,
            unsafe udev_monitor_enable_receiving(monitor) >= 0
        else {
            throw SystemError(
                operation: "udev_monitor", path: "udev", errno: Errno(rawValue: errno))
        }
        return unsafe EventSource(name: "udev", descriptor: udev_monitor_get_fd(monitor)) {
            while let device = unsafe udev_monitor_receive_device(monitor) {
                unsafe udev_device_unref(device)
            }
            return true
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
        let descriptor = unsafe directory.withPlatformString { unsafe clinux_watch_renames($0) }
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "inotify", path: directory.string, errno: Errno(rawValue: errno))
        }
        return EventSource(name: "registry", descriptor: descriptor) {
            clinux_drain(descriptor)
            return true
        }
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

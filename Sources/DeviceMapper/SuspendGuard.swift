internal import CLinux
internal import Glibc
internal import SystemPackage

/// A process that resumes a suspended device if its parent dies without having done so.
///
/// A process can be killed at any moment, and a device that stays suspended blocks everybody who uses
/// it in a way that not even SIGKILL ends. The guard is a child that waits on a pipe: the kernel closes
/// the other end when its parent is gone, however that came about. It is in a session of its own, so
/// that what kills the parent's process group or closes its terminal does not reach it. What kills
/// every process of a control group does (systemd's `KillMode=control-group`, the OOM killer with
/// `memory.oom.group`); but then there is a service manager, and what it starts again recovers.
public struct SuspendGuard: ~Copyable {
    private var process: clinux_guard?

    /// None at all: nothing is done whatever happens.
    public init() {}

    /// Starts one. When it returns the guard stands.
    ///
    /// - Throws: ENXIO if there is no such device; what making a process or a pipe failed with.
    init(over name: DeviceName) throws(DeviceMapperError) {
        var process = clinux_guard()
        guard unsafe clinux_guard_start(name.escaped, &process) == 0 else {
            throw DeviceMapperError(
                operation: .guard, name: name.text, errno: Errno(rawValue: errno))
        }
        self.process = process
    }

    deinit {
        // Forgotten on some path: then nobody has resumed the device.
        if var process { unsafe clinux_guard_end(&process, 0) }
    }

    /// Lets it go: the device is resumed, or was never suspended.
    public consuming func dismiss() {
        guard var guardian = process.take() else { return }
        unsafe clinux_guard_end(&guardian, 1)
    }

    /// Has it resume the device now, for up to ten seconds.
    ///
    /// - Returns: whether the device is resumed; false where there is no guard.
    public consuming func resume() -> Bool {
        guard var guardian = process.take() else { return false }
        return unsafe clinux_guard_end(&guardian, 0) == 0
    }
}

import Block
import CDmsnap
import Sessions

// The C library. Its signatures are dmsnap.h's: with `@implementation` another one doesn't compile.

/// See dmsnap.h.
@c @implementation
public func activate_snapshot(
    _ devname: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> CInt {
    unsafe call(devname, password) { service, device in
        _ = try service.activate(device)
        try MonitorLauncher.ensureRunning(service.layout)
    }
}

/// See dmsnap.h.
@c @implementation
public func deactivate_snapshot(
    _ devname: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> CInt {
    unsafe call(devname, password) { service, device in
        try service.deactivate(device)
    }
}

/// See dmsnap.h.
@c @implementation
public func sys_activate_snapshot(
    _ devname: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> CInt {
    unsafe activate_snapshot(devname, password)
}

/// See dmsnap.h.
@c @implementation
public func sys_deactivate_snapshot(
    _ devname: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> CInt {
    unsafe deactivate_snapshot(devname, password)
}

/// See dmsnap.h.
@c @implementation
public func dmsnap_error() -> UnsafePointer<CChar>? {
    unsafe cdmsnap_kept_error()
}

/// Root, the password, then the domain; the exit status of what it throws, negated.
private func call(
    _ devname: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?,
    _ body: (SnapshotService, String) throws -> Void
) -> CInt {
    unsafe cdmsnap_keep_error("")
    do {
        guard let devname = unsafe devname, let password = unsafe password else {
            throw SessionsError.unsuitable(
                device: "(NULL)", reason: "a device and a password are needed")
        }
        let service = try SnapshotService.forRoot(to: "activate or deactivate a device")
        let bytes = unsafe UnsafeRawBufferPointer(start: password, count: length(password))
        try service.password.verify(unsafe Secret(copying: bytes))
        try body(service, unsafe String(cString: devname))
        return 0
    } catch {
        let error = error as? SessionsError ?? .internalFault("\(error)")
        unsafe cdmsnap_keep_error(error.description)
        return -error.exitStatus.rawValue
    }
}

private func length(_ text: UnsafePointer<CChar>) -> Int {
    var count = 0
    while unsafe text[count] != 0 { count += 1 }
    return count
}

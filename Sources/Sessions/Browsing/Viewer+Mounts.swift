import Block
import DeviceMapper
public import SystemPackage

/// Views that are mounted in a directory.
extension Viewer {
    /// Puts a view into a directory, where it stays until that is unmounted.
    ///
    /// - Throws: `unsuitable` where it is no directory, or there is no file system to look into.
    public func mount(_ view: View, on directory: FilePath) throws(SessionsError) {
        try asSessionsError {
            let target = try mountPoint(directory)
            let mounted = try view.mounted()
            try mounted.attach(to: target)
            guard try mountedView(target) != nil else {
                throw SessionsError.internalFault("\(target) shows something else than the view")
            }
        }
    }

    /// The directory that a path leads to.
    ///
    /// - Throws: `unsuitable` where it is no directory.
    public func mountPoint(_ path: FilePath) throws(SessionsError) -> FilePath {
        try asSessionsError {
            let target = try Files.resolve(path)
            guard try FileStatus(target).kind == .directory else {
                throw SessionsError.unsuitable(
                    device: path.string, reason: "it is no directory to mount anything on")
            }
            return target
        }
    }

    /// Unmounts a view, and waits until the kernel has taken it away.
    ///
    /// - Throws: `unsuitable` where no view is mounted there; `busy` while somebody uses it.
    public func stop(_ directory: FilePath) throws(SessionsError) {
        try asSessionsError {
            let target = try Files.resolve(directory)
            guard let name = try mountedView(target) else {
                throw SessionsError.unsuitable(
                    device: directory.string, reason: "no session is looked into there")
            }
            do throws(SystemError) {
                try MountTable.unmount(target)
            } catch {
                guard error.errno == .resourceBusy else { throw error }
                throw SessionsError.busy(
                    device: directory.string, reason: "a program uses it",
                    advice: "find it with `fuser -m \(directory)` and end it, then stop")
            }
            if try lifecycle.stack.isGone(view: name) { return }
            throw SessionsError.busy(
                device: directory.string,
                reason: "it is unmounted here, and \(name.path) is in use all the same",
                advice: "see who has it with `fuser \(name.path)`; it goes with the last of them")
        }
    }

    /// Runs `body` with a view, and returns when the kernel has taken that away, whatever came of it.
    ///
    /// - Throws: `damagedView` where it failed and something that was kept couldn't be read, and else what
    ///   it throws.
    public func using<Result>(
        _ view: View, of session: Session, _ body: () throws -> Result
    ) throws -> Result {
        let result = Swift.Result { try body() }
        try end(view)
        if case .failure = result, let damage = view.damage {
            throw SessionsError.damagedView(session: session.record.name.text, reason: damage)
        }
        return try result.get()
    }

    /// Lets go of a view that nobody has mounted any more, and waits until the kernel has taken it away:
    /// what comes next finds the device as it was found.
    public func end(_ view: View) throws(SessionsError) {
        try asSessionsError {
            view.passing.release()
            _ = try lifecycle.stack.isGone(view: view.passing.name)
        }
    }

    /// The view that is mounted on a directory; nil if something else is, or nothing.
    private func mountedView(_ target: FilePath) throws -> DeviceName? {
        guard let mount = try MountTable.read().last(where: { ByteText($0.target).path == target }),
            let status = try? FileStatus(FilePath(mount.source)), status.kind == .blockDevice
        else { return nil }
        let device = Sysfs.directory(status.deviceNumber)
        guard let uuid = Sysfs.attribute(device.appending("dm/uuid")),
            MapperNames.isView(uuid: uuid),
            let name = Sysfs.attribute(device.appending("dm/name"))
        else { return nil }
        return DeviceName(name)
    }
}

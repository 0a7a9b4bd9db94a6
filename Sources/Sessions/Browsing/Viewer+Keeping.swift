import Block
import DeviceMapper
import ExceptionStore
public import Restore
import SystemPackage

/// What a command wrote to a view of a device, put on the device itself.
///
/// It is a restore from the view's own store: all of it is read and checked before the first write, and what
/// it overwrites is captured. So it ends in a session that undoes it; and a kill in the middle does, too, when the
/// monitor comes to it.
extension Viewer {
    /// Refuses what couldn't be kept, before anything is run.
    ///
    /// - Throws: `unsuitable` of a device that isn't activated: nothing would lead back; `busy` of one in use.
    public func requireKeepable(_ trial: Trial) throws(SessionsError) {
        guard trial.isActivated else {
            throw .unsuitable(
                device: trial.device.text,
                reason:
                    "it isn't activated, so no session would lead back from what is committed; run `dmsnap activate` "
                    + "on it first")
        }
        guard !trial.isShared else { throw used(trial, "it is in use") }
    }

    /// Writes to the device what was written to its view, which is taken down.
    ///
    /// - Parameters:
    ///   - trial: the command has ended, and nothing of it is mounted any more.
    ///   - label: what the session that undoes it is called.
    /// - Returns: that session; nil where nothing was written.
    /// - Throws: `busy` where somebody else has used the device since the view was made; nothing was written
    ///   then. `commitFailed` where a write failed.
    public func keep(
        _ trial: Trial, as label: SessionLabel?, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> Session? {
        try asSessionsError {
            let written = try written(to: trial)
            guard written.store.exceptions.count > 0 else { return nil }
            return try lifecycle.registry.operating(on: trial.view.ground.device.text) { current in
                guard let activation = try lifecycle.recover(current) else {
                    throw SessionsError.notActivated(trial.device.text)
                }
                return try keep(written, of: trial, on: activation, label, control)
            }
        }
    }

    /// What was written to a view, in a store that nobody writes to any more.
    private struct Written {
        let store: ClosedStore
        /// What the device looks like with it.
        let shown: Fingerprint
    }

    private func written(to trial: Trial) throws -> Written {
        let view = trial.view
        try awaitUnmount(of: trial)
        try view.restoreFileSystemName()
        let name = view.passing.name
        guard let table = try stack.deviceMapper.table(name).first,
            let target = SnapshotTarget(parameters: table.parameters)
        else { throw SessionsError.internalFault("\(name) is no snapshot") }
        let shown = try kernel.fingerprint(view.device, samples: true)
        let status = try stack.deviceMapper.status(name).first
        // What is written at the unmount needs room, too.
        guard
            let taken = status.flatMap({ SnapshotStatus(line: $0.parameters) })?
                .chunksTaken(chunk: target.chunk)
        else {
            throw SessionsError.commitFailed(
                device: trial.device.text,
                reason: "there was no room for all of it; nothing was written to the device")
        }
        // The file has no name any more, and goes with its loop device.
        let loop = try kernel.open(
            FilePath("/dev/loop\(target.store.minor)"), .readOnly, exclusive: false)
        view.passing.release()
        guard try stack.isGone(view: name) else { throw used(trial, "something uses its view") }
        try loop.dropCache()
        let what = "what the command wrote"
        let store: ClosedStore
        do throws(ExceptionStoreError) {
            store = try ClosedStore(
                loop, originSize: trial.before.size, expecting: ChunkSize(target.chunk))
        } catch {
            throw SessionsError.unreadable(what, error)
        }
        try store.require(taken, of: what)
        return Written(store: store, shown: shown)
    }

    /// Namespaces that are gone let go of their mounts some time after.
    private func awaitUnmount(of trial: Trial) throws {
        for _ in 0..<100 {
            guard let info = try stack.deviceMapper.info(trial.view.passing.name) else {
                throw SessionsError.internalFault(
                    "\(trial.view.passing.name) went while it was held")
            }
            // Ours.
            if info.openCount <= 1 { return }
            kernel.pause(milliseconds: 50)
        }
        throw used(trial, "something uses its view")
    }

    private func keep(
        _ written: Written, of trial: Trial, on activation: Activation, _ label: SessionLabel?,
        _ control: RestoreControl
    ) throws -> Session {
        let path = DeviceFinder.path(of: activation)
        try lifecycle.requireAssembled(activation, "then try again")
        try lifecycle.refuseOpen(activation, "try again")
        try kernel.refuseReadOnly(stack.source(activation).path)
        let target = try lifecycle.hold(activation, .readWrite, "try again")
        guard try isUntouched(activation, trial) else {
            throw used(trial, "something has written to it since the command began")
        }
        let plan = try RestorePlan(sources: [written.store])
        if let shortage = try lifecycle.shortage(capturing: plan, through: activation) {
            throw SessionsError.commitFailed(device: path.text, reason: shortage)
        }
        do throws(RestoreError) {
            _ = try plan.verify(control: control).apply(
                to: target, readBack: catalogue.configuration.readsBack, control: control)
        } catch {
            throw SessionsError.commitFailed(device: path.text, reason: "\(error)")
        }
        let now = try kernel.fingerprint(path.path, samples: true)
        try target.close()
        let back = try lifecycle.wayBack(activation)
        guard let name = back.session else {
            throw SessionsError.commitFailed(
                device: path.text,
                reason: "it is there, and yet no session leads back from it"
                    + (back.loss.map { ": \($0)" } ?? ""))
        }
        guard written.shown.differences(from: now).isEmpty else {
            throw SessionsError.commitFailed(
                device: path.text,
                reason:
                    "all of it was written and read again, and yet the device differs from what the command "
                    + "saw; `dmsnap restore --session \(name)` puts it back")
        }
        return try catalogue.changeRecord(
            in: Layout.session(in: activation.base.path.path, name)
        ) { $0.label = label }
    }

    /// Whether nobody has written to the device since the view was made: through it, which the kernel counts, or
    /// past it, which the fingerprint shows.
    private func isUntouched(_ activation: Activation, _ trial: Trial) throws -> Bool {
        guard case .armed(let store) = activation.state, let taken = trial.view.ground.taken,
            store.number == trial.view.ground.store,
            try stack.chunksTaken(activation, store: store.number) == taken
        else { return false }
        let now = try kernel.look(trial.path, image: trial.image)
        return now.agrees(with: trial.before) && now.file == trial.before.file
    }

    private func used(_ trial: Trial, _ reason: String) -> SessionsError {
        .busy(
            device: trial.device.text, reason: reason,
            advice: "nothing was written to it; end that, then try again")
    }
}

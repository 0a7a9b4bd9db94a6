import Block
import ExceptionStore
import SystemPackage

/// What became of the wish to deactivate a device.
public enum DeactivationOutcome: Sendable {
    /// It is deactivated; this closed a session, and it left a group, if it did.
    case deactivated(closed: Session?, left: GroupName?)
    /// It is in use: why. It is deactivated when that is over.
    case waits(String)
    /// It never was activated, and is not to be any more when it is unmounted.
    case calledOff
}

/// What became of the wish to activate a device.
public enum DeferredActivation: Sendable {
    /// Done at once.
    case done(ActivationOutcome)
    /// It is in use: why. It is activated when that is over.
    case waits(String)
}

/// `--when-unmounted`: written down in the registry, and done by the monitor when nobody uses the device any
/// more, also after a boot.
extension Lifecycle {
    /// Deactivates, or forgets that a device is to be activated.
    ///
    /// - Parameter waiting: whether one that is in use is left to the monitor.
    /// - Throws: what `deactivate` throws; `busy` only without `waiting`.
    func deactivate(
        _ device: String, waiting: Bool
    ) throws(SessionsError) -> DeactivationOutcome {
        guard let found = try finder.find(device) else {
            guard try forgetPending(device) else { throw .notActivated(device) }
            return .calledOff
        }
        do {
            let group = try registry.read().group(of: found.id)?.name
            return .deactivated(closed: try deactivate(id: found.id), left: group)
        } catch {
            guard waiting, case .busy(_, let reason, _) = error else { throw error }
            try registry.change(found.id) { $0.isLeaving = true }
            return .waits(reason)
        }
    }

    /// Activates now, or when nobody uses it any more.
    ///
    /// - Throws: what `activate` throws, but for `busy`.
    func activateWhenUnmounted(
        _ device: String, _ request: ActivationRequest
    ) throws(SessionsError) -> DeferredActivation {
        do {
            return .done(try activate(device, request))
        } catch {
            guard case .busy(_, let reason, _) = error else { throw error }
            let pending = try asSessionsError {
                let resolved = try Files.resolve(FilePath(device))
                let path = FilePath(device).isAbsolute ? FilePath(device) : resolved
                let (kind, identity) = try identity(resolved)
                let directory: ByteText? =
                    if case .directory(let directory) = request.place {
                        ByteText(directory)
                    } else { nil }
                return PendingActivation(
                    path: ByteText(path), kind: kind, identity: identity,
                    chunkSize: request.chunkSize?.bytes, directory: directory,
                    isInMemory: request.place == .memory ? true : nil,
                    overlay: request.restoreAt, putBackAt: request.putBackAt,
                    keep: request.keep)
            }
            try registry.update { document throws(SessionsError) in
                let others = (document.pending ?? []).filter { !$0.isAt(pending.path.path) }
                document.pending = others + [pending]
            }
            return .waits(reason)
        }
    }

    /// Whoever activates an activated device wants it to stay so.
    func stay(_ activation: Activation) throws(SessionsError) -> Activation {
        guard activation.isLeaving == true else { return activation }
        return try registry.change(activation.id) { $0.isLeaving = nil }
    }

    /// Activates what has waited, if nobody uses it.
    ///
    /// - Returns: nil while somebody does, or it isn't there.
    /// - Throws: what stands against it; it waits on.
    func activate(_ pending: PendingActivation) throws(SessionsError) -> Activation? {
        try asSessionsError { () -> Activation? in
            guard let path = try? Files.resolve(pending.path.path) else { return nil }
            let (kind, identity) = try identity(path)
            guard kind == pending.kind, pending.means(identity) else {
                throw SessionsError.unsuitable(
                    device: pending.path.text,
                    reason: "it is another one than was to be activated when it is unmounted; run "
                        + "`dmsnap deactivate \(pending.path)` to have that one forgotten")
            }
            // Whoever has activated it meanwhile has said how.
            if let known = try finder.find(path.string) {
                _ = try forgetPending(pending.path.text)
                return known
            }
            let active: Activation
            do {
                switch try activate(path.string, pending.request()) {
                case .activated(let activation), .alreadyActive(let activation): active = activation
                }
            } catch SessionsError.busy {
                return nil
            }
            _ = try forgetPending(pending.path.text)
            return active
        }
    }

    /// - Returns: whether one of this path waited.
    func forgetPending(_ device: String) throws(SessionsError) -> Bool {
        let path = FilePath(device)
        guard try registry.read().pending?.contains(where: { $0.isAt(path) }) == true else {
            return false
        }
        try registry.update { document throws(SessionsError) in
            let others = (document.pending ?? []).filter { !$0.isAt(path) }
            document.pending = others.isEmpty ? nil : others
        }
        return true
    }

    private func identity(
        _ path: FilePath
    ) throws -> (kind: Activation.Kind, identity: SourceIdentity) {
        // What libblkid can't tell apart tells nothing.
        let contents = (try? kernel.contents(path)) ?? Contents()
        switch try kernel.status(path).kind {
        case .blockDevice:
            return (
                .block,
                SourceIdentity(
                    contents: contents, hardware: try kernel.blockDevice(path).hardwareIdentity)
            )
        default: return (.image, try finder.identity(ofImage: path, contents))
        }
    }
}

extension SnapshotService {
    /// Deactivates, or forgets that a device is to be activated.
    ///
    /// - Parameter waiting: whether one that is in use is left to the monitor.
    public func deactivate(
        _ device: String, waiting: Bool
    ) throws(SessionsError) -> DeactivationOutcome {
        try lifecycle.deactivate(device, waiting: waiting)
    }

    /// Activates now, or when nobody uses it any more.
    public func activateWhenUnmounted(
        _ device: String, _ request: ActivationRequest = ActivationRequest()
    ) throws(SessionsError) -> DeferredActivation {
        try lifecycle.activateWhenUnmounted(device, request)
    }

    /// What is to be activated when nobody uses it any more.
    public func pending() throws(SessionsError) -> [PendingActivation] {
        try lifecycle.registry.read().pending ?? []
    }

    /// Activates what has waited, if nobody uses it.
    public func activate(_ pending: PendingActivation) throws(SessionsError) -> Activation? {
        try lifecycle.activate(pending)
    }

    /// Deactivates what was to be when nobody uses it any more.
    ///
    /// - Returns: false while somebody does.
    public func leave(_ activation: Activation) throws(SessionsError) -> Bool {
        do {
            _ = try lifecycle.deactivate(id: activation.id)
            return true
        } catch .busy {
            return false
        }
    }
}

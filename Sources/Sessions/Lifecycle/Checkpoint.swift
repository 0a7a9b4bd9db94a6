import Block
import DeviceMapper
import FoundationEssentials
import SystemPackage

/// What a checkpoint made.
public enum CheckpointOutcome: Sendable {
    /// The device is in use, and from now on in this session. `closed` is the one before, where it held
    /// anything.
    case made(SessionName, closed: Session?)
    /// Nobody uses the device: the session of its next mount begins with what it is now. `closed` is of
    /// what was written since the last.
    case idle(closed: Session?)
}

/// `checkpoint`: a session's end, and the next one's beginning, in the middle of a mount.
///
/// It is an exchange of stores as any, but that the device is in use: the file system on it is frozen, so
/// that what the next session goes back to is a clean state. What that is can be known only while nothing is
/// written, and it has to survive a crash right after; it is written down beside the next store, inside the
/// suspend, where no lock of anybody's can be waited for.
extension Lifecycle {
    /// What is known of a boundary inside the suspend.
    private struct Frozen: Codable {
        let baseline: Fingerprint
        let held: UInt64?
    }

    /// Ends the session of a device that is in use, and begins another.
    ///
    /// - Parameters:
    ///   - device: any name of the device, or the image file.
    ///   - label: what the session that begins is called.
    /// - Throws: `notActivated`; `busy` while a session is restored online, or a program has the snapshot's
    ///   own device open; `noRoom` where no store can follow.
    func checkpoint(
        _ device: String, label: SessionLabel?
    ) throws(SessionsError) -> CheckpointOutcome {
        guard let found = try finder.find(device) else { throw .notActivated(device) }
        return try registry.operating(on: found.id) { current in
            guard let activation = try recover(current) else {
                throw SessionsError.notActivated(device)
            }
            try requireAssembled(activation, "then take the checkpoint")
            try merger.refuse(activation, "then take the checkpoint")
            try refuseOverlay(activation, "then take the checkpoint")
            if let idle = try whenIdle(activation) { return idle }
            let closed = try exchangeInUse(activation)
            guard
                case .opened(let name) = try openSession(
                    activation.id, use: use(of: activation), kind: .checkpoint, label: label)
            else {
                throw SessionsError.internalFault("\(activation.name) has a session already")
            }
            return .made(name, closed: closed)
        }
    }

    /// - Returns: nil of a device that is in use.
    private func whenIdle(_ activation: Activation) throws -> CheckpointOutcome? {
        guard try stack.isIdle(activation) else { return nil }
        switch try rollOverWhenIdle(activation) {
        case .closed(let session): return .idle(closed: session)
        case .dropped, .nothingToDo, .discarded: return .idle(closed: nil)
        case .inUse: return nil
        case .held: throw held(activation)
        }
    }

    private func held(_ activation: Activation) -> SessionsError {
        .busy(
            device: DeviceFinder.path(of: activation).text,
            reason: "a program has its snapshot's own device open",
            advice: "`dmsnap status` names it; let go of that, then take the checkpoint")
    }

    private func use(of activation: Activation) throws -> DeviceUse? {
        try stack.origin(activation).flatMap { try stack.uses(of: $0.number).first }
    }

    /// - Returns: the session that this closed; nil if its store held nothing.
    private func exchangeInUse(_ current: Activation) throws -> Session? {
        try finder.requireBase(current)
        if let shortage = room(in: current.base.path.path)?.shortage {
            throw SessionsError.noRoom(
                device: DeviceFinder.path(of: current).text, reason: shortage)
        }
        // What was written up to now is a session's, also where nobody has opened one yet.
        _ = try openSession(current.id, use: use(of: current))
        try stack.synchronizeFileSystem(of: current)
        var activation = try withoutLost(registry.activation(current.id))
        var next = Store(
            number: activation.store.number + 1, baseline: activation.store.baseline)
        next.awaitsBoundary = true
        activation = try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginExchange(to: next, held: nil)
        }
        let place = Layout.boundary(in: activation.armedDirectory(next.number))
        let boundary = Stack.Boundary.frozen { baseline, held in
            try Files.replace(place, with: JSON.encode(Frozen(baseline: baseline, held: held)))
        }
        do {
            switch try exchange(activation, to: next, at: boundary, Ending()) {
            case .session(let session): return session
            case .dropped: return nil
            case nil:
                try abandonExchange(activation)
                throw held(activation)
            }
        } catch SessionsError.deviceMapper(let error)
            where error.operation == .suspend && error.errno == .resourceBusy
        {
            // A second freeze of a file system is refused (freeze_super()).
            throw SessionsError.busy(
                device: DeviceFinder.path(of: activation).text,
                reason: "somebody has frozen the file system on it",
                advice: "let it go on (`fsfreeze --unfreeze`), then take the checkpoint")
        }
    }

    /// Takes what was written down inside a suspend into the registry; nothing of an exchange that was none
    /// of these, or never came that far. Can be done again after a crash.
    func noteFrozen(_ activation: Activation) throws -> Activation {
        guard case .exchanging(_, let next) = activation.state else { return activation }
        let place = Layout.boundary(in: activation.armedDirectory(next.number))
        guard Files.exists(place) else { return activation }
        let frozen = try JSON.decode(Frozen.self, from: place)
        let noted = try registry.change(activation.id) { current throws(SessionsError) in
            try current.noteBoundary(frozen.baseline, held: frozen.held)
        }
        try Files.remove(place)
        return noted
    }
}

extension SnapshotService {
    /// Ends the session of a device that is in use, and begins another.
    public func checkpoint(
        _ device: String, label: SessionLabel? = nil
    ) throws(SessionsError) -> CheckpointOutcome {
        try lifecycle.checkpoint(device, label: label)
    }
}

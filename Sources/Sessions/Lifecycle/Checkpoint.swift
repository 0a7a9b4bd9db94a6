public import Block
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

/// What a checkpoint made of several devices, or of one.
public struct GroupCheckpoint: Sendable {
    /// What is mounted of each: `/dev/mapper/dmsnap-<name>`.
    public let devices: [ByteText]
    /// Of each device.
    public let outcomes: [CheckpointOutcome]
    /// What restoring any of the sessions that begin there goes back to, with all of the group.
    public let instant: GroupInstant?
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
            try checkpoint([current], of: nil, label).outcomes[0]
        }
    }

    /// The same of every device of a group that is in use, at one instant; the others are as they are at that
    /// instant.
    ///
    /// - Throws: `noSuchGroup`; what a checkpoint of one of them does, and then there is none of any.
    func checkpoint(
        _ name: GroupName, label: SessionLabel?
    ) throws(SessionsError) -> GroupCheckpoint {
        let group = try report(on: name).group
        return try registry.operating(onAll: group.members) { currents in
            try requireUnchanged(group)
            return try checkpoint(currents, of: group, label)
        }
    }

    private func checkpoint(
        _ currents: [Activation], of group: DeviceGroup?, _ label: SessionLabel?
    ) throws -> GroupCheckpoint {
        let devices = try currents.map { try ready($0, "then take the checkpoint") }
        if group != nil { try refuseStacked(devices) }
        var closed: [String: Session] = [:]
        for _ in 0..<5 {
            let used = try devices.filter { device in
                guard case .idle(let session) = try whenIdle(device) else { return true }
                closed[device.id] = closed[device.id] ?? session
                return false
            }
            let exchanged =
                used.isEmpty ? try atRest(group) : try exchangeInUse(used, isGroup: group != nil)
            guard let exchanged else { continue }
            for (id, outcome) in exchanged.outcomes {
                if case .session(let session) = outcome { closed[id] = session }
            }
            let instant = try exchanged.instant.get()
            // A device of it has got another store in this very moment.
            guard group == nil || instant != nil else { continue }
            let outcomes = try devices.map { device in
                used.contains { $0.id == device.id }
                    ? .made(try begin(device, label), closed: closed[device.id])
                    : CheckpointOutcome.idle(closed: closed[device.id])
            }
            return GroupCheckpoint(
                devices: devices.map(DeviceFinder.path(of:)), outcomes: outcomes, instant: instant)
        }
        throw SessionsError.busy(
            device: group?.name.text ?? DeviceFinder.path(of: devices[0]).text,
            reason: "it is opened and closed again and again",
            advice: "see what mounts it, then take the checkpoint")
    }

    /// - Returns: nil of a device that is in use.
    private func whenIdle(_ activation: Activation) throws -> CheckpointOutcome? {
        // A probe of udev's that is taken for a use does no harm.
        guard try stack.isIdle(activation, patience: 10) else { return nil }
        switch try rollOverWhenIdle(activation) {
        case .closed(let session): return .idle(closed: session)
        case .dropped, .nothingToDo, .discarded: return .idle(closed: nil)
        case .inUse: return nil
        case .held: throw held(activation)
        }
    }

    /// - Returns: nil if somebody has just begun to use one of them.
    private func atRest(_ group: DeviceGroup?) throws -> Exchanged? {
        guard let group else { return Exchanged(outcomes: [:], instant: .success(nil)) }
        return try noteRest(of: group.members[0]).map {
            Exchanged(outcomes: [:], instant: .success($0))
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

    /// - Returns: nil if one of the others of the group has been used since.
    private func exchangeInUse(_ devices: [Activation], isGroup: Bool) throws -> Exchanged? {
        for device in devices {
            try finder.requireBase(device)
            if let shortage = room(in: device.base.path.path)?.shortage {
                throw SessionsError.noRoom(
                    device: DeviceFinder.path(of: device).text, reason: shortage)
            }
        }
        var (mounted, others): ([Activation], [Activation]) = ([], [])
        for device in devices {
            // What was written up to now is a session's, also where nobody has opened one yet.
            let use = try use(of: device)
            _ = try openSession(device.id, use: use)
            try stack.synchronizeFileSystem(of: device)
            let whole = try withoutLost(registry.activation(device.id))
            if case .mount = use { mounted.append(whole) } else { others.append(whole) }
        }
        // A file system may have its log on another one of these devices, and writes to that while it is frozen.
        let begun = try registry.change(all: (mounted + others).map(\.id)) {
            current throws(SessionsError) in
            var next = Store(number: current.store.number + 1, baseline: current.store.baseline)
            next.awaitsBoundary = true
            try current.beginExchange(to: next, held: nil)
        }
        do {
            let exchanged = try exchange(begun.map(handover), Ending(), needsRest: isGroup)
            if exchanged == nil {
                for device in begun {
                    let snapshot = try stack.snapshot(device, store: device.store.number)
                    if snapshot?.openCount ?? 0 > 0 { throw held(device) }
                }
            }
            return exchanged
        } catch SessionsError.deviceMapper(let error)
            where error.operation == .suspend && error.errno == .resourceBusy
        {
            // A second freeze of a file system is refused (freeze_super()).
            let device = try begun.first { try MapperNames.origin($0).text == error.name }
            throw SessionsError.busy(
                device: DeviceFinder.path(of: device ?? begun[0]).text,
                reason: "somebody has frozen the file system on it",
                advice: "let it go on (`fsfreeze --unfreeze`), then take the checkpoint")
        }
    }

    private func handover(_ activation: Activation) throws -> Handover {
        guard case .exchanging(_, let next) = activation.state else {
            throw SessionsError.internalFault("\(activation.name) is not exchanging its store")
        }
        let place = Layout.boundary(in: activation.armedDirectory(next.number))
        return Handover(
            activation: activation, next: next,
            boundary: .frozen { baseline, held in
                try Files.replace(
                    place, with: JSON.encode(Frozen(baseline: baseline, held: held)))
            })
    }

    /// The session that begins at a checkpoint; the monitor may have been faster to open it.
    private func begin(_ device: Activation, _ label: SessionLabel?) throws -> SessionName {
        switch try openSession(
            device.id, use: use(of: device), kind: .checkpoint, label: label)
        {
        case .opened(let name): return name
        case .alreadyOpen(let name):
            try catalogue.changeRecord(in: Layout.session(in: device.base.path.path, name)) {
                $0.kind = .checkpoint
                $0.label = label ?? $0.label
            }
            return name
        case .later, .over:
            throw SessionsError.internalFault("\(device.name) has no store to open a session of")
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

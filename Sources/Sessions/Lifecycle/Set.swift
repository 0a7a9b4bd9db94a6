import Block
import DeviceMapper

/// How a device is to be put back by itself; what isn't said stays.
public struct PolicyChange: Hashable, Sendable {
    /// What it is put back to.
    public enum Base: Hashable, Sendable {
        /// What it is now, or was before the mount that is under way; and then whatever is restored by hand.
        case last
        /// What it was before this session, named as `session(named:)` takes it.
        case session(String)
    }

    /// When.
    public var restoreAt: RestoreAt?
    /// To what; of a device that captures.
    public var base: Base?
    /// How many of the times that it was put back can be undone; of a device that captures.
    public var keep: Int?

    /// Nothing that isn't given is changed.
    public init(restoreAt: RestoreAt? = nil, base: Base? = nil, keep: Int? = nil) {
        self.restoreAt = restoreAt
        self.base = base
        self.keep = keep
    }
}

/// `set`: when an activated device is put back by itself, and to what.
extension Lifecycle {
    /// - Throws: `notActivated`; `busy` while it is being restored; `unsuitable` for what can't be: a base that
    ///   nothing leads back to, a device under an overlay that was to have a base, or whose store is in memory
    ///   and was to outlive a boot.
    @discardableResult
    func set(_ device: String, _ change: PolicyChange) throws(SessionsError) -> Activation {
        guard let found = try finder.find(device) else { throw .notActivated(device) }
        if found.restoreAt != nil { return try setOverlay(found.id, device, change) }
        try refuseForMember(found, device)
        if let keep = change.keep, !RestorePolicy.keeps.contains(keep) {
            throw .unsuitable(
                device: device, reason: "\(keep) is no number of times that can be undone")
        }
        if change.base == .last || found.restorePolicy == nil { try closeWhatIsOver(found.id) }
        let base = try base(change.base, of: found, device)
        return try registry.change(found.id) { current throws(SessionsError) in
            if change.restoreAt == .never {
                current.restorePolicy = nil
                return
            }
            guard let at = change.restoreAt ?? current.restorePolicy?.at else {
                throw .unsuitable(
                    device: device,
                    reason:
                        "it is not put back by itself; say when with --restore-at unmount or boot")
            }
            var policy = current.restorePolicy ?? RestorePolicy(at: at, base: current.chain)
            policy.at = at
            policy.keep = change.keep ?? policy.keep
            switch change.base {
            case nil: break
            case .last:
                guard current.merge == nil else {
                    throw .busy(
                        device: device, reason: "it is being put back right now",
                        advice: "wait for the rest (`dmsnap status` shows it), then set its base")
                }
                policy.rebase(on: current.chain)
            case .session:
                guard let base, base.chain == current.chain.id else {
                    throw .unsuitable(device: device, reason: "its chain has just been broken")
                }
                policy.rebase(on: ChainPlace(id: base.chain, index: base.index), base.name)
            }
            current.restorePolicy = policy
        }
    }

    /// What the device is now is where its next session begins, when a mount that is over has become one.
    private func closeWhatIsOver(_ id: String) throws(SessionsError) {
        try registry.operatingAlone(on: id, pause: { kernel.pause(milliseconds: 100) }) { current in
            guard let activation = try recover(current), try stack.isLoaded(activation),
                let origin = try stack.origin(activation), try stack.uses(of: origin.number).isEmpty
            else { return }
            _ = try rollOverWhenIdle(activation)
        }
    }

    private func setOverlay(
        _ id: String, _ device: String, _ change: PolicyChange
    ) throws(SessionsError) -> Activation {
        guard change.base == nil, change.keep == nil else {
            throw .unsuitable(
                device: device,
                reason:
                    "it is under an overlay: its base is the device itself, and what was written "
                    + "over it is not kept")
        }
        return try registry.change(id) { current throws(SessionsError) in
            current = try requireOverlay(current, device)
            guard let restoreAt = change.restoreAt else { return }
            if current.isInMemory == true, restoreAt == .never {
                throw .unsuitable(device: device, reason: ActivationRequest.forgotten)
            }
            current.restoreAt = restoreAt
        }
    }

    /// The session that a device is to be put back to, seen to lead there, and pinned.
    private func base(
        _ base: PolicyChange.Base?, of activation: Activation, _ device: String
    ) throws(SessionsError) -> SessionRecord? {
        guard case .session(let name) = base else { return nil }
        let session = try catalogue.ownSession(named: name)
        let record = session.record
        // Its chunks are of this activation's size, as are those of all later ones.
        guard record.activation == activation.id else {
            throw .unsuitable(
                device: device,
                reason:
                    "session \(record.name) is from before it was activated, or another device's; restore "
                    + "it, then `dmsnap set \(device) --base last` makes that the base")
        }
        try asSessionsError {
            let restorer = Restorer(lifecycle: self)
            let route = try restorer.route(to: session, through: activation)
            // It may be mounted now.
            let obstacles = route.obstacles.filter { obstacle in
                if case .open = obstacle { false } else { true }
            }
            _ = try restorer.lift(obstacles, session, RestoreRequest(session: record.name.text))
        }
        return try catalogue.changeRecord(in: session.directory) { $0.pinned = true }.record
    }
}

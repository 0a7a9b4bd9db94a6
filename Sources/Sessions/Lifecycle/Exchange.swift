import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What exchanging a device's store did.
public enum RolloverOutcome: Sendable {
    /// A new store captures; the old one became this session.
    case closed(Session)
    /// A new store captures; the old one held nothing and is gone.
    case dropped
    /// What was written over the device is given up.
    case discarded
    /// Somebody uses the device: nothing was changed.
    case inUse
    /// Somebody has the snapshot's own device open, so it can't be taken away: nothing was changed.
    case held
    /// The store is empty and no session is open: there is nothing to exchange.
    case nothingToDo
}

/// The last unmount: a new store takes over in one suspend, then the old one becomes a session.
extension Lifecycle {
    /// Of a store that the kernel captures into no more.
    static let dropped = "the kernel has dropped its store, which was full or failed"

    /// Of a store whose snapshot isn't there any more, though nobody of ours removed it.
    static let takenAway = "its snapshot was taken away"

    /// Exchanges the store of an activation: closes the session that is open, or makes an offline
    /// one of what was written outside a mount.
    ///
    /// While somebody else works on the device, a restore for hours perhaps, it is in use: who asks has
    /// other devices to look after.
    func rollOver(_ id: String) throws(SessionsError) -> RolloverOutcome {
        try asSessionsError {
            try Files.makeDirectory(registry.layout.runDirectory)
            return try registry.operatingIfFree(on: id) { activation in
                guard let activation = try recover(activation), activation.state.isActive else {
                    return .nothingToDo
                }
                return try rollOverLocked(activation)
            } ?? .inUse
        }
    }

    /// Exchanges the store as soon as nobody but udev, which probes what was just closed, has the
    /// device open.
    func rollOverWhenIdle(_ activation: Activation) throws -> RolloverOutcome {
        for _ in 0..<50 {
            let outcome = try rollOverLocked(registry.activation(activation.id))
            guard case .inUse = outcome else { return outcome }
            let number = try stack.origin(activation)?.number
            if let number, try !stack.uses(of: number).isEmpty { break }
            kernel.pause(milliseconds: 100)
        }
        return .inUse
    }

    func rollOverLocked(_ activation: Activation) throws -> RolloverOutcome {
        switch activation.state {
        case .armed where try stack.isEmpty(activation): return .nothingToDo
        case .armed(let store)
        where store.isAbsent && room(in: activation.base.path.path)?.shortage != nil:
            return .nothingToDo
        case .armed, .open: break
        // The next store's baseline would be half of what is being restored.
        case .merging: return .nothingToDo
        case .activating, .deactivating, .exchanging: return .nothingToDo
        case .overlay: return try discardWhenDue(activation)
        case .discarding, .uncovering: return .nothingToDo
        }
        // Who wants to wait does so around this: the monitor has other devices to look after.
        guard let readers = try stack.readers(activation) else { return .inUse }
        let number = activation.store.number
        if try stack.snapshot(activation, store: number)?.openCount ?? 0 > 0 { return .held }
        try finder.requireBase(activation)
        var activation = activation
        activation = try withoutLost(activation)
        // Nobody has it open who could change it before the suspend; who opens it until then, or has written to
        // it and closed it again, is seen there.
        let quiet = try stack.quiet(activation, readers: readers)
        let held = quiet.held ?? (hasMissedNothing(activation.store, quiet) ? 0 : nil)
        var next = Store(number: number + 1, baseline: quiet.fingerprint)
        if let shortage = room(in: activation.base.path.path)?.shortage {
            next.invalidate(shortage)
            next.writes = quiet.writes
        }
        activation = try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginExchange(to: next, held: held)
        }
        let exchanged = try exchange(
            [Handover(activation: activation, next: next, boundary: .quiet(quiet))],
            Ending())
        switch exchanged?.outcomes[activation.id] {
        case .session(let session): return .closed(session)
        case .dropped: return .dropped
        case nil: return .inUse
        }
    }

    /// What the kernel has dropped, or somebody has taken away, is given up before anything follows it.
    func withoutLost(_ activation: Activation) throws -> Activation {
        var activation = activation
        switch try stack.status(activation, store: activation.store.number) {
        case .usage: break
        case nil: activation = try invalidate(activation, Self.takenAway)
        default: activation = try invalidate(activation, Self.dropped)
        }
        if activation.store.loss != nil { try giveUpStore(activation) }
        return activation
    }

    /// Whether nothing was written while there was no store.
    private func hasMissedNothing(_ store: Store, _ quiet: Stack.Quiet) -> Bool {
        guard store.isAbsent, let writes = quiet.writes else { return false }
        return writes == store.writes
    }
}

import Block
import DeviceMapper
import SystemPackage

/// What a process that died halfway left behind: gone on with, or undone.
extension Lifecycle {
    /// Brings one activation into a state that nobody is in the middle of.
    func recover(_ id: String) throws(SessionsError) {
        try registry.operating(on: id) { activation in
            _ = try recover(activation)
        }
    }

    /// Goes on with, or undoes, what a process that has died left halfway; what somebody still works on
    /// is left to them.
    func recoverAbandoned(_ id: String) throws(SessionsError) {
        try asSessionsError {
            guard let activation = try registry.read()[id: id], try isUnfinished(activation) else {
                return
            }
            _ = try registry.operatingIfFree(on: id) { _ = try recover($0) }
        }
    }

    private func isUnfinished(_ activation: Activation) throws -> Bool {
        if try stack.origin(activation)?.isSuspended == true { return true }
        switch activation.state {
        case .activating, .deactivating, .exchanging, .discarding, .uncovering: return true
        case .overlay: return false
        case .merging: return try merger.isUnfinished(activation)
        case .armed, .open:
            if Files.exists(activation.mergingDirectory) { return true }
            return try isRestoreOfNothing(activation)
        }
    }

    /// Every state, and what can have happened to whoever was in it.
    ///
    /// While the tables are loaded; what a boot leaves is `assemble`'s, which begins with the same
    /// state. It may itself die at any point, and be called again.
    ///
    /// - Returns: the activation as it then is; nil if it is gone.
    func recover(_ activation: Activation) throws -> Activation? {
        // Dead inside a suspend: everything on the device waits until it is resumed.
        try stack.resumeIfSuspended(activation)
        switch activation.state {
        case .activating, .deactivating:
            // Dead anywhere from the first step to the last. Setting up is undone: nobody was told
            // that it is armed. Taking down is completed: somebody asked for it, and the origin may
            // be gone.
            _ = try takeDown(activation)
            return nil
        case .armed:
            // Dead between the rename that named a session and the registry's change; after the end of
            // an online restore, before its store was deleted; or before the first write of another one.
            try merger.discardStore(activation)
            return try forgetRestoreOfNothing(takeUpName(activation))
        case .open:
            // Nothing of a session's life takes steps. A store of an online restore may be left.
            try merger.discardStore(activation)
            return activation
        case .exchanging(_, let next):
            // Dead before, in, or after the suspend, or while the old store was closed.
            return try recoverExchange(activation, next)
        case .merging(_, let merge):
            // Dead before the kernel began, after it, or after it had ended.
            return try merger.recover(takeUpName(activation), merge)
        case .overlay:
            // Nothing of its life takes steps; and what was begun to be committed is gone on with by
            // whoever commits, since that may take hours.
            return activation
        case .discarding(_, let next):
            // Dead before, in, or after the suspend.
            return try recoverDiscard(activation, next)
        case .uncovering:
            // Dead anywhere from the first step to the last: completed, as somebody asked for it.
            return try finishUncovering(activation)
        }
    }

    /// The session that an armed store was renamed to, where the registry knows nothing of it.
    func takeUpName(_ activation: Activation) throws(SessionsError) -> Activation {
        guard let named = try namedWithoutRegistry(activation) else { return activation }
        return try registry.change(activation.id) { current throws(SessionsError) in
            // The rule's process may have come to it.
            guard current.session == nil else { return }
            try current.open(named.record.name)
        }
    }

    func namedWithoutRegistry(_ activation: Activation) throws(SessionsError) -> Session? {
        guard activation.session == nil, !Files.exists(activation.directory),
            let named = try catalogue.session(ofStore: activation.store.number, of: activation),
            named.record.closedAt == nil
        else { return nil }
        return named
    }

    /// Whether a restore was about to be written to a device, and nothing was.
    private func isRestoreOfNothing(_ activation: Activation) throws(SessionsError) -> Bool {
        guard case .armed(let store) = activation.state, store.undoes?.progress != nil else {
            return false
        }
        return try stack.isEmpty(activation)
    }

    func forgetRestoreOfNothing(_ activation: Activation) throws(SessionsError) -> Activation {
        guard try isRestoreOfNothing(activation) else { return activation }
        return try registry.change(activation.id) { $0.forgetRestore() }
    }

    /// The tables tell how far an exchange came.
    private func recoverExchange(_ activation: Activation, _ next: Store) throws -> Activation? {
        // Without an origin it is for `assemble`.
        guard try stack.isLoaded(activation) else { return activation }
        // Where neither has a snapshot, nothing tells how far it came, and nothing was to be done.
        let isOver =
            next.isAbsent
            ? try !activation.store.isAbsent
                && stack.snapshot(activation, store: activation.store.number) == nil
            : try stack.capturesAlone(activation, next: next.number)
        if isOver {
            // It has taken over: the old one missed nothing until then, and is closed.
            _ = try endExchange(activation, Ending())
            return try registry.read()[id: activation.id]
        }
        // The old one is there still, or was dropped as invalid before the exchange: the next one
        // hasn't captured alone, and goes, to come again.
        try stack.dropSnapshot(activation, store: next.number)
        let directory = activation.armedDirectory(next.number)
        try stack.detach(next, in: directory)
        try Files.removeDirectory(directory)
        return try abandonExchange(activation)
    }
}

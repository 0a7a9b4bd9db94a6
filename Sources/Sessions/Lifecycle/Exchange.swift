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
    ///
    /// - Parameter restoreOf: the session whose restore wrote to the armed store.
    func rollOverWhenIdle(
        _ activation: Activation, restoreOf: SessionName? = nil
    ) throws -> RolloverOutcome {
        for _ in 0..<50 {
            let outcome = try rollOverLocked(
                registry.activation(activation.id), restoreOf: restoreOf)
            guard case .inUse = outcome else { return outcome }
            let number = try stack.origin(activation)?.number
            if let number, try !stack.uses(of: number).isEmpty { break }
            kernel.pause(milliseconds: 100)
        }
        return .inUse
    }

    func rollOverLocked(
        _ activation: Activation, restoreOf: SessionName? = nil
    ) throws -> RolloverOutcome {
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
        switch try exchange(
            activation, to: next, at: .quiet(quiet), Ending(restoreOf: restoreOf))
        {
        case .session(let session): return .closed(session)
        case .dropped: return .dropped
        case nil:
            try abandonExchange(activation)
            return .inUse
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

    /// Makes the next store, lets it take over, and closes the one before.
    ///
    /// - Returns: what became of that; nil if somebody had opened the device by then, and everything is as
    ///   before.
    func exchange(
        _ activation: Activation, to next: Store, at boundary: Stack.Boundary, _ ending: Ending
    ) throws -> StoreOutcome? {
        let directory = activation.armedDirectory(next.number)
        var undo = Undo()
        do {
            undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
            undo.add("detaching the new store") { try stack.detachStore(in: directory) }
            let successor = try next.isAbsent ? noStore(in: directory) : makeNext(activation, next)
            let outcome = try stack.exchange(activation, next: successor, at: boundary) {
                try endExchange(registry.activation(activation.id), ending)
            }
            if let outcome { return outcome }
            let failure = undo.run(after: SessionsError.internalFault("used"))
            if case .rollback(_, let failures) = failure {
                throw SessionsError.internalFault(failures.joined(separator: "; "))
            }
            return nil
        } catch {
            // The new store captures already (only the resume, the old one's close or udev's answer
            // failed), or nobody knows: undoing would throw away what it holds. `recover` sees which, and goes on.
            if (try? isOver(activation, next)) ?? true { throw error }
            let failure = undo.run(after: error)
            try abandonExchange(activation)
            throw failure
        }
    }

    /// The next store is gone again, and the present one goes on.
    @discardableResult
    func abandonExchange(_ activation: Activation) throws(SessionsError) -> Activation {
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.abandonExchange()
        }
    }

    private func makeNext(_ activation: Activation, _ next: Store) throws -> Stack.Successor {
        let file = try stack.makeStore(
            activation, next.number, limit: configuration.storeLimit)
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.noteNext(file)
        }
        let loop = try stack.attachStore(
            activation, in: activation.armedDirectory(next.number))
        return Stack.Successor(number: next.number, loop: loop)
    }

    /// A directory all the same, for a session to be told of in.
    private func noStore(in directory: FilePath) throws -> Stack.Successor? {
        try Files.makeDirectory(directory)
        return nil
    }

    /// Whether the next store has been put in place, as far as that it may have captured; or, if there
    /// is to be none, whether the old one is gone.
    private func isOver(_ activation: Activation, _ next: Store) throws -> Bool {
        next.isAbsent
            ? try stack.snapshot(activation, store: activation.store.number) == nil
            : try stack.snapshot(activation, store: next.number) != nil
    }

    /// The next store captures and the old one's table is gone: the old one is closed, and the
    /// registry says so. Can be done again after a crash at any point of it.
    func endExchange(_ activation: Activation, _ ending: Ending) throws -> StoreOutcome {
        let activation = try noteFrozen(activation)
        guard case .exchanging(_, let next) = activation.state, next.awaitsBoundary != true else {
            throw SessionsError.internalFault("\(activation.name) is not exchanging its store")
        }
        var ending = ending
        ending.end = ending.end ?? next.baseline
        let outcome = try close(activation, ending)
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.endExchange(outcome)
        }
        return outcome
    }
}

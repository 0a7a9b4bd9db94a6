import Block

/// The steps from one state to the next. None can be taken from a state that doesn't lead there.
extension Activation {
    private func illegal(_ step: String) -> SessionsError {
        .internalFault("\(name) can't \(step) now")
    }

    /// Every table is loaded.
    mutating func arm() throws(SessionsError) {
        guard case .activating(let store) = state else { throw illegal("be armed") }
        state = .armed(store)
    }

    /// The store that captures is this session's now.
    mutating func open(_ session: SessionName) throws(SessionsError) {
        switch state {
        case .armed(let store): state = .open(store, session: session)
        case .merging(var capture, let merge) where capture.session == nil:
            capture.session = session
            state = .merging(capture, merge)
            // What it writes may show in no store, but in what the kernel puts back.
            restorePolicy?.isBegun = false
        case .deactivating(var capture) where capture.session == nil:
            // Found so: a process died between the rename that named it and the registry.
            capture.session = session
            state = .deactivating(capture)
        default: throw illegal("open a session")
        }
    }

    /// `next` is about to be made.
    ///
    /// - Parameter held: how many chunks the present store holds, as the kernel says.
    mutating func beginExchange(to next: Store, held: UInt64?) throws(SessionsError) {
        switch state {
        case .armed, .open:
            var capture = state.capture
            capture.store.held = held
            state = .exchanging(capture, next: next)
        default: throw illegal("exchange its store")
        }
    }

    /// What the device is where the next store takes over, and what the present one then has, where that
    /// was not known before.
    mutating func noteBoundary(
        _ baseline: Fingerprint, held: UInt64?
    ) throws(SessionsError) {
        guard case .exchanging(var capture, var next) = state else {
            throw illegal("note a boundary")
        }
        capture.store.held = held
        next.baseline = baseline
        next.awaitsBoundary = nil
        state = .exchanging(capture, next: next)
    }

    /// The next store's file is made.
    mutating func noteNext(_ file: FileIdentity) throws(SessionsError) {
        guard case .exchanging(let capture, var next) = state else { throw illegal("make a store") }
        next.file = file
        state = .exchanging(capture, next: next)
    }

    /// The next store didn't take over: the present one goes on.
    mutating func abandonExchange() throws(SessionsError) {
        guard case .exchanging(var capture, _) = state else { throw illegal("give up an exchange") }
        capture.store.held = nil
        state = .capturing(capture)
    }

    /// The next store captures, and of the old one became `outcome`.
    mutating func endExchange(_ outcome: StoreOutcome) throws(SessionsError) {
        guard case .exchanging(let capture, let next) = state else {
            throw illegal("end an exchange")
        }
        advance(past: capture.store, outcome)
        state = .armed(next)
    }

    /// After a boot: `next` is armed in the place of the last boot's store, of which became `outcome`.
    ///
    /// - Parameter merge: the online restore that goes on.
    mutating func rearm(
        _ next: Store, after outcome: StoreOutcome, merging merge: OnlineMerge?
    ) throws(SessionsError) {
        switch state {
        case .armed, .open, .merging: break
        case .activating, .exchanging, .deactivating, .overlay, .discarding, .uncovering:
            throw illegal("be armed again")
        }
        advance(past: store, outcome)
        state = merge.map { .merging(Capture(store: next), $0) } ?? .armed(next)
    }

    /// What was written past the origin, or is in a session that isn't whole, ends a chain.
    private mutating func advance(past store: Store, _ outcome: StoreOutcome) {
        if case .session(let session) = outcome {
            chain.index = session.record.index + 1
            restorePolicy?.note(session.record)
            restorePolicy?.follow(chain)
        }
        if store.breach?.place == .inside { breakChain() }
    }

    /// Something was written that is in no session.
    mutating func breakChain() {
        chain = .new()
        restorePolicy?.follow(chain)
    }

    /// An online restore is prepared; the kernel hasn't begun.
    ///
    /// - Parameter isToBase: whether it puts the device back by itself.
    mutating func beginMerge(_ merge: OnlineMerge, isToBase: Bool) throws(SessionsError) {
        guard case .armed(var store) = state else { throw illegal("restore online") }
        restorePolicy?.isBegun = isToBase
        store.undoes = RestoreTrace(session: merge.session)
        state = .merging(Capture(store: store), merge)
    }

    /// A process of ours is about to write a session back, or has.
    mutating func note(_ trace: RestoreTrace) throws(SessionsError) {
        switch state {
        case .armed, .open: store.undoes = trace
        default: throw illegal("be restored")
        }
    }

    /// One that was begun has come to nothing: the store is empty.
    mutating func forgetRestore() {
        if case .armed = state, store.undoes?.progress != nil { store.undoes = nil }
    }

    /// The table of an online restore was loaded.
    mutating func runMerge() throws(SessionsError) {
        guard case .merging(let capture, var merge) = state else { throw illegal("merge") }
        merge.isRunning = true
        state = .merging(capture, merge)
    }

    /// Everything is back: the present store goes on, and its session undoes the restore.
    mutating func endMerge() throws(SessionsError) {
        guard case .merging(let capture, _) = state else { throw illegal("end a restore") }
        state = .capturing(capture)
    }

    /// The online restore never began.
    mutating func abandonMerge() throws(SessionsError) {
        guard case .merging(var capture, _) = state else { throw illegal("give up a restore") }
        restorePolicy?.isBegun = false
        // One that a crash had cut in two has written to the store before.
        if capture.store.undoes?.continues == nil { capture.store.undoes = nil }
        state = .capturing(capture)
    }

    /// The tables are about to be taken down.
    mutating func beginDeactivation() throws(SessionsError) {
        switch state {
        case .armed, .open, .merging: state = .deactivating(state.capture)
        case .activating, .exchanging, .deactivating, .overlay, .discarding, .uncovering:
            throw illegal("be deactivated")
        }
    }

    /// Somebody opened the device before its origin was gone.
    mutating func abandonDeactivation() throws(SessionsError) {
        guard case .deactivating(let capture) = state else {
            throw illegal("give up a deactivation")
        }
        state = .capturing(capture)
    }

    /// Somebody wrote past the origin.
    ///
    /// - Parameter isEmpty: whether the present store holds nothing, and no session is open.
    /// - Parameter now: what the device looks like now.
    mutating func breach(_ what: String, isEmpty: Bool, now: Fingerprint?) {
        if isEmpty, case .armed(var store) = state {
            // The break lies before the store's session, which begins with what is there now.
            store.breach = Breach(what: what, place: .before)
            if let now { store.baseline = now }
            store.instant = nil
            state = .armed(store)
            breakChain()
            return
        }
        store.breach =
            store.breach.flatMap { $0.place == .inside ? $0 : nil }
            ?? Breach(what: what, place: .inside)
        if case .exchanging(let capture, var next) = state {
            // Nobody can tell on which side of the exchange it was.
            next.breach = Breach(what: what, place: .inside)
            state = .exchanging(capture, next: next)
        }
    }
}

import Block

/// The steps of a device under an overlay.
extension Activation {
    private func illegal(_ step: String) -> SessionsError {
        .internalFault("\(name) can't \(step) now")
    }

    /// The table is loaded: what is written goes to the store.
    mutating func cover() throws(SessionsError) {
        guard case .activating(let store) = state else { throw illegal("get an overlay") }
        state = .overlay(Overlay(store: store))
    }

    /// What was written is about to be given up for `next`, an empty store.
    mutating func beginDiscard(for next: Store) throws(SessionsError) {
        guard case .overlay(let overlay) = state, !overlay.isCommitting else {
            throw illegal("discard what was written over it")
        }
        state = .discarding(overlay, next: next)
    }

    /// The next store's file is made.
    mutating func noteNextOverlay(_ file: FileIdentity) throws(SessionsError) {
        guard case .discarding(let overlay, var next) = state else { throw illegal("make a store") }
        next.file = file
        state = .discarding(overlay, next: next)
    }

    /// The next store has taken over, or everything of the present one is on the device.
    mutating func endDiscard() throws(SessionsError) {
        guard case .discarding(_, let next) = state else { throw illegal("end a discard") }
        state = .overlay(Overlay(store: next))
    }

    /// The next store hasn't taken over.
    mutating func abandonDiscard() throws(SessionsError) {
        guard case .discarding(let overlay, _) = state else { throw illegal("give up a discard") }
        state = .overlay(overlay)
    }

    /// What the store holds is about to be written to the device.
    mutating func beginCommit() throws(SessionsError) {
        guard case .overlay(var overlay) = state else { throw illegal("commit") }
        overlay.isCommitting = true
        state = .overlay(overlay)
    }

    /// Everything that the store holds is on the device, which now is as `next` says; what was captured of it
    /// before leads back to something else.
    mutating func endCommit(for next: Store) throws(SessionsError) {
        guard case .overlay(var overlay) = state, overlay.isCommitting else {
            throw illegal("end a commit")
        }
        overlay.isCommitting = false
        overlay.store.baseline = next.baseline
        chain = .new()
        state = .discarding(overlay, next: next)
    }

    /// The table is about to be taken down.
    mutating func beginUncovering() throws(SessionsError) {
        guard case .overlay(let overlay) = state, !overlay.isCommitting else {
            throw illegal("be deactivated")
        }
        state = .uncovering(overlay.store)
    }

    /// Somebody opened or wrote to the device before its table was gone.
    mutating func abandonUncovering() throws(SessionsError) {
        guard case .uncovering(let store) = state else { throw illegal("give up a deactivation") }
        state = .overlay(Overlay(store: store))
    }
}

import Block
import DeviceMapper
import SystemPackage

/// What discarding did.
public enum DiscardOutcome: Sendable {
    /// The device shows again what it is. `isUnchanged` says whether it is what it was when the overlay began,
    /// as far as its fingerprint tells.
    case discarded(chunks: UInt64?, isUnchanged: Bool)
    /// Nothing was written over it.
    case nothingToDo
}

/// A device under an overlay, put back: what was written over it is given up.
///
/// The device was never written, so that is an empty store in the place of the other, whatever that holds.
extension Lifecycle {
    /// Gives up what was written over a device; also of one that can't be assembled with it.
    ///
    /// - Throws: `notActivated`; `unsuitable` of a device that isn't under an overlay; `busy` while somebody
    ///   uses it, or a commit has begun.
    func discard(_ device: String) throws(SessionsError) -> DiscardOutcome {
        guard let found = try finder.find(device) else { throw .notActivated(device) }
        return try registry.operating(on: found.id) { current in
            let activation = try requireOverlay(recover(current), device)
            guard case .live = try stack.condition(activation) else {
                let held = activation.store.held
                guard case .assembled = try assembleOverlay(activation, .givenUp) else {
                    throw SessionsError.unsuitable(
                        device: device, reason: "it isn't there, or its sessions' directory isn't")
                }
                let now = try registry.activation(activation.id).store
                return .discarded(chunks: held, isUnchanged: now.breach == nil)
            }
            try refuseOpen(activation, "discard")
            try finder.requireBase(activation)
            if try holdsNothing(activation) { return .nothingToDo }
            let chunks = try stack.chunksTaken(activation, store: activation.store.number)
            guard try discardLocked(activation) else {
                throw busy(activation, "it has been opened just now", "discard")
            }
            let now = try registry.activation(activation.id)
            return .discarded(
                chunks: chunks, isUnchanged: try now.store.breach == nil && shows(now))
        }
    }

    /// Whether what is shown is what the device is, unless somebody uses it already and writes.
    private func shows(_ activation: Activation) throws -> Bool {
        let shown = try kernel.fingerprint(
            DeviceFinder.path(of: activation).path, samples: true)
        return try shown.differences(from: activation.store.baseline).isEmpty
            || !stack.isIdle(activation)
    }

    /// At the last unmount, where that was wished for.
    func discardWhenDue(_ activation: Activation) throws -> RolloverOutcome {
        guard activation.restoreAt == .unmount, activation.state.overlay?.isCommitting == false,
            try !holdsNothing(activation)
        else { return .nothingToDo }
        guard try stack.isIdle(activation, patience: 1) else { return .inUse }
        try finder.requireBase(activation)
        return try discardLocked(activation) ? .discarded : .inUse
    }

    func requireOverlay(
        _ activation: Activation?, _ device: String
    ) throws(SessionsError) -> Activation {
        guard let activation else { throw .notActivated(device) }
        guard activation.state.overlay != nil else {
            throw .unsuitable(
                device: device,
                reason:
                    "it is not under an overlay, and what is written to it is on it; deactivate it, and "
                    + "activate it with --mode overlay")
        }
        return activation
    }

    /// For what only a device that captures has.
    ///
    /// - Parameter advice: what to do afterwards: `then restore`.
    func refuseOverlay(_ activation: Activation, _ advice: String) throws(SessionsError) {
        guard activation.state.overlay != nil else { return }
        throw .busy(
            device: activation.path.text, reason: "it is under an overlay",
            advice:
                "`dmsnap commit` or `dmsnap discard` what was written over it and deactivate it, "
                + advice)
    }

    func holdsNothing(_ activation: Activation) throws -> Bool {
        try stack.chunksTaken(activation, store: activation.store.number) == 0
    }

    /// - Returns: false if somebody opened it, and all is as it was.
    private func discardLocked(_ activation: Activation) throws -> Bool {
        guard activation.state.overlay?.isCommitting == false else {
            throw halfCommitted(activation, "discard")
        }
        let next = try successor(of: activation)
        let discarding = try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginDiscard(for: next)
        }
        return try exchangeOverlay(discarding, for: next)
    }

    func halfCommitted(_ activation: Activation, _ verb: String) -> SessionsError {
        .busy(
            device: DeviceFinder.path(of: activation).text,
            reason:
                "a commit of what was written over it has begun, and only part of that is on the device",
            advice: "run `dmsnap commit \(activation.path)`, which goes on with it, then \(verb)")
    }

    /// An empty store over what the device is now.
    func successor(of activation: Activation) throws -> Store {
        let source = try stack.source(activation).path
        try kernel.synchronize(source)
        return successor(
            of: activation, over: try kernel.look(source, image: activation.image))
    }

    func successor(of activation: Activation, over now: Fingerprint) -> Store {
        var next = Store(number: activation.store.number + 1, baseline: now)
        if !now.agrees(with: activation.store.baseline),
            activation.state.overlay?.isCommitting == false
        {
            next.breach = Breach(
                what: "something wrote to \(activation.path) itself, under its overlay",
                place: .before)
        }
        return next
    }

    /// Makes the store that the registry knows is next, and lets it take over.
    func exchangeOverlay(_ activation: Activation, for next: Store) throws -> Bool {
        let directory = activation.armedDirectory(next.number)
        var undo = Undo()
        undo.add("going on with the store that was there") { [registry] in
            try registry.change(activation.id) { current throws(SessionsError) in
                try current.abandonDiscard()
            }
        }
        do {
            undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
            undo.add("detaching the new store") { [stack] in try stack.detachStore(in: directory) }
            let loop = try makeOverlayStore(activation, next.number)
            let isDone = try stack.exchangeOverlay(activation, for: loop) {
                try endDiscard(registry.activation(activation.id))
            }
            if isDone {
                stack.renewFileSystem(of: activation)
                return true
            }
            let failure = undo.run(after: SessionsError.internalFault("used"))
            if case .rollback(_, let failures) = failure {
                throw SessionsError.internalFault(failures.joined(separator: "; "))
            }
            return false
        } catch {
            // It has taken over (only the resume, or what follows it, failed), or nobody knows.
            let known = try? registry.activation(activation.id)
            guard let known, case .discarding(_, let next) = known.state,
                let isOver = try? stack.isWritten(to: next, of: known), !isOver
            else { throw error }
            throw undo.run(after: error)
        }
    }

    /// Where a device's stores end: one that is written to before what is kept free for others. A full one keeps
    /// what it has; one whose file system is full loses all of it. What the store before takes is free by then.
    func storeLimit(of activation: Activation) -> Share? {
        guard activation.restoreAt != nil, let room = room(in: activation.base.path.path) else {
            return configuration.storeLimit
        }
        let before = Layout.store(in: activation.armedDirectory(activation.store.number))
        let taken = (try? FileStatus(before).allocated.bytes) ?? 0
        let most = room.spare.bytes.addingReportingOverflow(taken)
        let spare = ByteCount(most.overflow ? .max : most.partialValue)
        return .bytes(min(configuration.storeLimit?.of(activation.size) ?? spare, spare))
    }

    func makeOverlayStore(
        _ activation: Activation, _ number: Int
    ) throws -> DeviceNumber {
        let file = try stack.makeStore(activation, number, limit: storeLimit(of: activation))
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.noteNextOverlay(file)
        }
        return try stack.attachStore(activation, in: activation.armedDirectory(number))
    }

    /// The next store is written to: the one before goes. Can be done again after a crash at any point of it.
    func endDiscard(_ activation: Activation) throws {
        let directory = activation.armedDirectory(activation.store.number)
        try stack.detach(activation.store, in: directory)
        try Files.removeDirectory(directory)
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.endDiscard()
        }
    }

    /// The table tells how far a discard came.
    func recoverDiscard(_ activation: Activation, _ next: Store) throws -> Activation {
        // Without one it is for `assemble`, which completes it.
        guard try stack.isLoaded(activation) else { return activation }
        if try stack.isWritten(to: next, of: activation) {
            try endDiscard(activation)
            return try registry.activation(activation.id)
        }
        let directory = activation.armedDirectory(next.number)
        try stack.detach(next, in: directory)
        try Files.removeDirectory(directory)
        return try registry.change(activation.id) { current throws(SessionsError) in
            try current.abandonDiscard()
        }
    }
}

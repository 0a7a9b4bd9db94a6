import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What the last boot left: its stores become sessions, and what can be known of the time since is.
extension Lifecycle {
    /// Makes sessions of the stores of the last boot, the older first, and lets the registry have the
    /// next store, which is made afterwards.
    ///
    /// - Returns: the activation as it then is, and the session that was cut short.
    func closeLastBoot(_ activation: Activation) throws -> (Activation, Session?) {
        var activation = activation
        if case .exchanging(_, let next) = activation.state {
            activation = try closeHalfExchanged(activation, next)
        }
        activation = try takeUpName(activation)
        let merge = try merger.goOn(activation)
        activation = try registry.activation(activation.id)
        // A crash of the kernel alone leaves writes in the disk's cache.
        try kernel.synchronize(stack.source(activation).path)
        let now = try kernel.look(stack.source(activation).path, image: activation.image)
        activation = try compareWithBaseline(activation, now)
        let doubt = try lookAtFileSystem(&activation, on: stack.source(activation).path)
        // Whatever a store of the last boot holds was cut short, named or not: a clean end leaves an
        // empty one.
        let outcome = try close(
            activation, Ending(end: now, isInterrupted: true, doubt: doubt))
        var next = Store(number: activation.store.number + 1, baseline: now)
        if merge == nil, let shortage = room(in: activation.base.path.path)?.shortage {
            next.invalidate(shortage)
            // Of an origin that is about to be made.
            next.writes = 0
        }
        var session: Session?
        if case .session(let closed) = outcome { session = closed }
        if let merge {
            next.undoes = RestoreTrace(
                session: merge.session,
                continues: activation.store.undoes?.continues ?? session?.record.name)
        }
        // Somebody wrote to it, and no store has that.
        let isBroken =
            session == nil && merge == nil && !now.agrees(with: activation.store.baseline)
        if session == nil, !now.isOfSameWrite(as: activation.store.baseline) {
            // That an empty store was there until the boot says nothing of the time after.
            try catalogue.noteUnwatched(
                before: activation.chain, activation.sessionPrefix,
                in: activation.base.path.path)
        }
        let armed = try registry.change(activation.id) { current throws(SessionsError) in
            try current.rearm(next, after: outcome, merging: merge)
            if isBroken { current.breakChain() }
        }
        return (armed, session)
    }

    /// A file system that was mounted when the machine stopped can't have been checked since, but by
    /// another system, and what that wrote is in no store.
    ///
    /// - Returns: what nobody can know. A file system that was mounted for writing is unclean now; one
    ///   that isn't was unmounted at that very moment, was mounted for reading only, or another system
    ///   has been at it.
    func lookAtFileSystem(
        _ activation: inout Activation, on source: FilePath
    ) throws -> String? {
        guard case .open = activation.state else { return nil }
        if let noted = activation.store.lastCheck,
            let now = try kernel.lastCheck(of: source), now != noted
        {
            activation = try breach(
                activation,
                "its file system was mounted when the machine stopped, and was checked before it was "
                    + "assembled again")
        }
        guard try kernel.condition(of: source) == .clean else { return nil }
        return
            "no other system mounted or checked it in between (its file system was found unmounted "
            + "properly)"
    }

    private func breach(_ activation: Activation, _ what: String) throws -> Activation {
        try registry.change(activation.id) { current in
            current.store.breach = current.store.breach ?? Breach(what: what, place: .inside)
        }
    }

    /// A boot came into an exchange. If the next store has kept something, and the old one nothing
    /// since, it had taken over. Else the old one has gone on, alone or beside the next one (as when a
    /// process died inside the suspend), and has everything; or nothing was written.
    func closeHalfExchanged(_ activation: Activation, _ next: Store) throws -> Activation {
        let activation = try noteFrozen(activation)
        let directory = activation.armedDirectory(next.number)
        if try isOver(activation, keptIn: directory) {
            _ = try endExchange(activation, Ending())
            return try registry.activation(activation.id)
        }
        try stack.detach(next, in: directory)
        try Files.removeDirectory(directory)
        return try registry.change(activation.id) { current throws(SessionsError) in
            try current.abandonExchange()
            // With none to follow it, nothing tells whether it had been taken away already.
            if next.isAbsent {
                current.store.breach = Breach(
                    what: "the machine stopped while its store was given up", place: .inside)
            }
        }
    }

    private func isOver(_ activation: Activation, keptIn directory: FilePath) throws -> Bool {
        // What it takes over at would be known.
        if case .exchanging(_, let next) = activation.state, next.awaitsBoundary == true {
            return false
        }
        return try kept(directory, of: activation) != 0
            ? !hasGoneOn(activation) : wasEnded(activation)
    }

    /// Whether the store's end had been begun, as happens only after the next one has taken over: it
    /// was dropped as an empty one, or its session says that it is closed.
    private func wasEnded(_ activation: Activation) throws -> Bool {
        // Of an absent one there never is a file, and what was written since nobody knows.
        if activation.store.isAbsent { return false }
        if activation.store.held == 0, !Files.exists(Layout.store(in: activation.directory)) {
            return true
        }
        let session =
            try activation.session == nil
            ? catalogue.session(ofStore: activation.store.number, of: activation)
            : try? catalogue.session(at: activation.directory)
        return session?.record.closedAt != nil
    }

    /// Whether the store has kept more than it held when its exchange began.
    private func hasGoneOn(_ activation: Activation) throws -> Bool {
        let directory = activation.directory
        let named =
            try Files.exists(directory)
            ? nil : catalogue.session(ofStore: activation.store.number, of: activation)
        guard let held = activation.store.held,
            let kept = try kept(named?.directory ?? directory, of: activation)
        else { return false }
        return kept > held
    }

    /// How many chunks a store has kept, 0 if it isn't there; nil if it can't be read.
    private func kept(_ directory: FilePath, of activation: Activation) throws -> UInt64? {
        guard Files.exists(Layout.store(in: directory)) else { return 0 }
        do {
            return try UInt64(
                catalogue.closedStore(
                    in: directory, originSize: activation.size, chunkSize: activation.chunkSize,
                    session: activation.name.text
                ).exceptions.count)
        } catch {
            guard case .damagedStore = error else { throw error }
            return nil
        }
    }

    /// Where the store has kept nothing the device has to look as it did when the store was armed;
    /// else somebody wrote to it past us, a rescue system between the crash and now for instance.
    func compareWithBaseline(
        _ activation: Activation, _ now: Fingerprint
    ) throws -> Activation {
        let store = activation.store
        // What the kernel put back is in no store of its own.
        let isWrittenByKernel = store.undoes.map { $0.progress == nil } ?? false
        guard activation.merge == nil, !isWrittenByKernel, store.loss == nil,
            store.breach == nil,
            let kept = try? catalogue.closedStore(
                in: activation.directory, originSize: activation.size,
                chunkSize: activation.chunkSize, session: activation.name.text
            ).exceptions
        else { return activation }
        let differing = now.differences(from: store.baseline) { range in
            kept.count(in: range) == 0
        }
        guard let first = differing.first, kept.count > 0 else { return activation }
        return try breach(
            activation,
            "something wrote past its store, at byte \(first.lowerBound) for instance, before it was "
                + "assembled again")
    }
}

extension ExceptionTable {
    /// How many of the chunks that a range of the origin touches are kept.
    func count(in range: Range<UInt64>) -> Int {
        guard !range.isEmpty else { return 0 }
        let size = chunkSize.bytes.bytes
        let chunks = range.lowerBound / size...(range.upperBound - 1) / size
        return chunks.count { storedChunk(for: $0) != nil }
    }
}

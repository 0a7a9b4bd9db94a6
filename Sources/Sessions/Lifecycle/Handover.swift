import Block
import FoundationEssentials
import SystemPackage

/// From one store to the next: of one device, or of several at the same instant. What the old ones hold becomes
/// sessions.
extension Lifecycle {
    /// A device whose store is exchanged; the registry knows.
    struct Handover {
        let activation: Activation
        let next: Store
        let boundary: Stack.Boundary
    }

    /// What an exchange came to.
    struct Exchanged {
        /// What became of each store, by its activation.
        let outcomes: [String: StoreOutcome]
        /// The instant that the next stores have in common with all of their group's; nil if none.
        let instant: Result<GroupInstant?, SessionsError>
    }

    /// Makes the next stores, lets them take over at one instant, and closes the ones before.
    ///
    /// - Parameter needsRest: whether the other devices of their group, if they are in one, must be as they were when
    ///   their stores were armed.
    /// - Returns: nil if somebody had opened a device by then, and everything is as before.
    func exchange(
        _ handovers: [Handover], _ ending: Ending, needsRest: Bool = false
    ) throws -> Exchanged? {
        do {
            let ids = handovers.map(\.activation.id)
            let companions = try companions(of: ids[0], but: ids)
            var isAtRest = false
            let parts = try handovers.map { handover in
                Stack.Handover(
                    activation: handover.activation,
                    next: try handover.next.isAbsent ? noStore(handover) : makeNext(handover),
                    boundary: handover.boundary)
            }
            let exchanged = try stack.exchange(
                parts,
                isTime: {
                    isAtRest = try companions?.others.allSatisfy { try stack.isEmpty($0) } ?? false
                    return isAtRest || !needsRest
                },
                completion: {
                    var outcomes: [String: StoreOutcome] = [:]
                    for id in ids {
                        outcomes[id] = try endExchange(registry.activation(id), ending)
                    }
                    let instant = Swift.Result { () throws(SessionsError) in
                        guard let companions else { return GroupInstant?.none }
                        return isAtRest
                            ? try noteInstant(
                                companions,
                                of: handovers.map { ($0.activation.id, $0.next.number) })
                            : try noteRest(of: ids[0])
                    }
                    return Exchanged(outcomes: outcomes, instant: instant)
                })
            guard let exchanged else {
                // Whatever fails of that is more than a use.
                let failure = try withdraw(handovers, after: SessionsError.internalFault("used"))
                if case .rollback(_, let failures) = failure {
                    throw SessionsError.internalFault(failures.joined(separator: "; "))
                }
                return nil
            }
            return exchanged
        } catch {
            throw try withdraw(handovers, after: error)
        }
    }

    /// The next stores are gone again, but for those that have taken over already (only the resume, the old one's
    /// close or udev's answer failed), or of which nobody knows: undoing would throw away what they hold. `recover`
    /// sees which, and goes on.
    private func withdraw(
        _ handovers: [Handover], after error: any Error
    ) throws -> SessionsError {
        let given = handovers.filter {
            !((try? isOver($0.activation, $0.next)) ?? true)
                && (try? registry.activation($0.activation.id).isExchanging) == true
        }
        guard !given.isEmpty else { return .from(error) }
        var undo = Undo()
        for handover in given {
            let directory = handover.activation.armedDirectory(handover.next.number)
            undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
            undo.add("detaching the new store") { try stack.detachStore(in: directory) }
        }
        let failure = undo.run(after: error)
        for handover in given { try abandonExchange(handover.activation) }
        return failure
    }

    /// The next store is gone again, and the present one goes on.
    @discardableResult
    func abandonExchange(_ activation: Activation) throws(SessionsError) -> Activation {
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.abandonExchange()
        }
    }

    private func makeNext(_ handover: Handover) throws -> Stack.Successor {
        let (activation, next) = (handover.activation, handover.next)
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
    private func noStore(_ handover: Handover) throws -> Stack.Successor? {
        try Files.makeDirectory(handover.activation.armedDirectory(handover.next.number))
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

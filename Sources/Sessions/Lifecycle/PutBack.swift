import Block
import Restore

/// What a device's policy asks for: done, or kept why it wasn't.
extension Lifecycle {
    /// Puts a device back to its base, or sees that it is back, where that is due now.
    ///
    /// - Throws: why it can't be; that is kept in the registry, for whoever asks.
    func putBack(
        _ id: String, control: RestoreControl
    ) throws(SessionsError) -> PutBackOutcome {
        try asSessionsError {
            try Files.makeDirectory(registry.layout.runDirectory)
            return try registry.operatingIfFree(on: id) { current in
                guard let activation = try recover(current), case .armed = activation.state,
                    let policy = activation.restorePolicy, policy.isDueAtUnmount,
                    try stack.isLoaded(activation)
                else { return .notNow }
                do {
                    return try PuttingBack(self, activation, policy).atLastUnmount(control)
                } catch {
                    let error = SessionsError.from(error)
                    switch error {
                    case .busy, .interrupted: return .notNow
                    default:
                        try noteNotPutBack(id, error)
                        throw error
                    }
                }
            } ?? .notNow
        }
    }

    /// After a boot, where that is due.
    ///
    /// - Returns: the activation as it then is. A device that can't be put back is assembled all the same.
    func putBackAtBoot(_ activation: Activation) throws -> Activation {
        guard case .armed = activation.state, let policy = activation.restorePolicy,
            policy.isDue || policy.session != nil && policy.base != activation.chain
        else { return activation }
        let now = try PuttingBack(self, activation, policy).atBoot()
        if let failure = now.restorePolicy?.failure { registry.notice("not put back: \(failure)") }
        return now
    }

    @discardableResult
    func noteNotPutBack(
        _ id: String, _ error: SessionsError
    ) throws(SessionsError) -> Activation {
        try registry.change(id) { $0.restorePolicy?.fail(error) }
    }

    /// Lets the sessions go of the times that nobody is to undo any more.
    ///
    /// - Throws: `busy` while one of them is used, compressed for instance; it is for the monitor to try again.
    func dropRoundTrips(_ id: String) throws(SessionsError) {
        try asSessionsError {
            while let policy = try registry.read()[id: id]?.restorePolicy,
                policy.hasSpareRoundTrips,
                let oldest = policy.roundTrips.first
            {
                try Deletion(lifecycle: self, patience: .zero)
                    .remove(roundTrip: oldest, of: policy.base.id)
                try registry.change(id) { current in
                    if current.restorePolicy?.roundTrips.first == oldest {
                        current.restorePolicy?.roundTrips.removeFirst()
                    }
                }
            }
        }
    }
}

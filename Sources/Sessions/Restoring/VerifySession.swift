import Block
public import Restore

/// What verifying a session read.
public struct VerifyOutcome: Sendable {
    /// The session.
    public let session: Session
    /// The sessions that restoring it takes, itself first.
    public let chain: [String]
    /// How much restoring it would put back.
    public let totals: RestoreTotals
}

/// `verify`: all of a restore but the device and the writing.
extension SnapshotService {
    /// Reads everything that restoring the session would write, and checks every checksum.
    ///
    /// - Parameter name: a session's name, its directory's path, or an archive file.
    /// - Throws: what a restore throws before it writes: `damagedStore`, `invalidSession`,
    ///   `brokenChain`, `busy` while it is open, `interrupted`.
    public func verify(
        _ name: String, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> VerifyOutcome {
        let session = try session(named: name)
        return try asSessionsError {
            let chain = try members(of: session, force: false)
            let plan = try plan(chain)
            do {
                _ = try plan.verify(control: control)
            } catch let error as RestoreError {
                throw failure(error, session, session.record.device)
            }
            return VerifyOutcome(
                session: session, chain: chain.map(\.record.name), totals: plan.totals)
        }
    }
}

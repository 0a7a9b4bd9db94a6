public import Restore

/// What verifying a session read.
public struct VerifyOutcome: Sendable {
    /// The session.
    public let session: Session
    /// The sessions that restoring it takes, itself first.
    public let chain: [SessionName]
    /// How much restoring it would put back.
    public let totals: RestoreTotals
}

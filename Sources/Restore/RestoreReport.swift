/// What a restore did.
public struct RestoreReport: Sendable {
    /// How much the plan puts back.
    public let totals: RestoreTotals
    /// The bytes that were written: all of the plan's but the damaged ones, or 0 in a dry run.
    public let bytesWritten: UInt64
    /// Whether the target was read and compared after writing.
    public let wasReadBack: Bool
    /// What was not put back since it can't be read; empty unless that was asked for.
    public let damage: Damage
    /// How long each phase that there was took.
    public let durations: [RestorePhase: Duration]
}

/// What a restore did.
public struct RestoreReport: Hashable, Sendable {
    /// How much the plan puts back.
    public let totals: RestoreTotals
    /// The bytes that were written: all of the plan's, or 0 in a dry run.
    public let bytesWritten: UInt64
    /// Whether the target was read and compared after writing.
    public let wasReadBack: Bool
    /// How long each phase that there was took.
    public let durations: [RestorePhase: Duration]
}

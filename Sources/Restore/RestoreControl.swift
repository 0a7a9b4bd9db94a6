internal import ExceptionStore

/// How a restore tells its caller where it is, and hears that it should stop.
///
/// Both closures are called for every batch, on the thread that restores.
public struct RestoreControl: Sendable {
    /// Gets every event, in order.
    public var report: @Sendable (RestoreProgress) -> Void
    /// Says whether to stop.
    public var isCancelled: @Sendable () -> Bool

    /// Reports to nobody and never stops, if not told otherwise.
    public init(
        report: @escaping @Sendable (RestoreProgress) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.report = report
        self.isCancelled = isCancelled
    }
}

/// What a restore is doing.
public enum RestorePhase: String, Hashable, Sendable, Codable, CaseIterable {
    /// Reading everything that will be written, before the first write.
    case verifying
    /// Reading again, comparing, writing.
    case writing
    /// Waiting for the target to confirm.
    case synchronizing
    /// Reading the target.
    case readingBack
}

/// An event: how far a phase is.
public struct RestoreProgress: Hashable, Sendable {
    /// What is being done.
    public let phase: RestorePhase
    /// The bytes that this phase has done; 0 when it begins.
    public let bytesDone: UInt64
    /// The bytes that this phase has to do.
    public let bytesTotal: UInt64

    /// An event; numbers in bytes.
    public init(phase: RestorePhase, bytesDone: UInt64, bytesTotal: UInt64) {
        self.phase = phase
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
    }
}

extension RestoreControl {
    /// Says that a phase begins.
    func begin(_ phase: RestorePhase, total: UInt64) -> PhaseProgress<RestorePhase> {
        PhaseProgress(phase, total: total) { [report] done in
            report(RestoreProgress(phase: phase, bytesDone: done, bytesTotal: total))
        } isCancelled: { [isCancelled] in
            isCancelled()
        }
    }
}

extension PhaseProgress<RestorePhase> {
    func checkCancelled() throws(RestoreError.Reason) {
        if isCancelled() { throw .cancelled(phase, done: done, total: total) }
    }
}

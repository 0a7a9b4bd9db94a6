internal import ExceptionStore

/// How archiving and verifying tell their caller where they are, and hear that they should stop.
///
/// Both closures are called for every block, on the thread that called.
public struct ArchiveControl: Sendable {
    /// Gets every event, in order.
    public var report: @Sendable (ArchiveProgress) -> Void
    /// Says whether to stop.
    public var isCancelled: @Sendable () -> Bool

    /// Reports to nobody and never stops, if not told otherwise.
    public init(
        report: @escaping @Sendable (ArchiveProgress) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.report = report
        self.isCancelled = isCancelled
    }
}

/// What is being done with an archive.
public enum ArchivePhase: String, Hashable, Sendable, Codable, CaseIterable {
    /// Reading the source, compressing, writing.
    case writing
    /// Waiting until the archive is on stable storage.
    case synchronizing
    /// Reading the archive, and when it was just written comparing it with the source.
    case verifying
}

/// An event: how far a phase is.
public struct ArchiveProgress: Hashable, Sendable {
    /// What is being done.
    public let phase: ArchivePhase
    /// The bytes that this phase has done; 0 when it begins.
    public let bytesDone: UInt64
    /// The bytes that this phase has to do: of the source's chunks while writing, of the archive
    /// when there is no source.
    public let bytesTotal: UInt64

    /// An event; numbers in bytes.
    public init(phase: ArchivePhase, bytesDone: UInt64, bytesTotal: UInt64) {
        self.phase = phase
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
    }
}

extension ArchiveControl {
    /// Says that a phase begins, and stops it where the caller wants that.
    func begin(
        _ phase: ArchivePhase, total: UInt64
    ) throws(ArchiveError) -> PhaseProgress<ArchivePhase> {
        let progress = PhaseProgress(phase, total: total) { [report] done in
            report(ArchiveProgress(phase: phase, bytesDone: done, bytesTotal: total))
        } isCancelled: { [isCancelled] in
            isCancelled()
        }
        try progress.checkCancelled()
        return progress
    }
}

extension PhaseProgress<ArchivePhase> {
    /// Tells how far the phase is, and stops it where the caller wants that.
    mutating func advance(by bytes: UInt64) throws(ArchiveError) {
        add(bytes)
        try checkCancelled()
    }

    fileprivate func checkCancelled() throws(ArchiveError) {
        if isCancelled() { throw .cancelled(phase, done: done, total: total) }
    }
}

/// Counts the bytes of one phase of long work, and tells how far it is.
package struct PhaseProgress<Phase> {
    /// What is being done.
    package let phase: Phase
    /// The bytes to do; 0 if that isn't known.
    package let total: UInt64
    /// The bytes done.
    package private(set) var done: UInt64 = 0
    /// Whether to stop.
    package let isCancelled: () -> Bool
    private let report: (_ done: UInt64) -> Void

    /// The phase begins, and says so.
    package init(
        _ phase: Phase, total: UInt64, report: @escaping (_ done: UInt64) -> Void,
        isCancelled: @escaping () -> Bool
    ) {
        self.phase = phase
        self.total = total
        self.report = report
        self.isCancelled = isCancelled
        report(0)
    }

    /// Adds to what is done, and says so.
    package mutating func add(_ bytes: UInt64) {
        done += bytes
        report(done)
    }
}

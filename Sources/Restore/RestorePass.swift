internal import Block

/// One phase's pass over all batches: events, the wish to stop, and the time it takes.
struct RestorePass {
    let plan: RestorePlan
    let phase: RestorePhase
    let batchSize: Int
    let control: RestoreControl

    /// Calls `body` with every batch and its number.
    func run(
        _ body: (borrowing Batch, Int) throws(RestoreError.Reason) -> Void
    ) throws(RestoreError.Reason) -> Duration {
        let clock = ContinuousClock()
        let start = clock.now
        var batches = BatchIterator(plan.extents, capacity: batchSize)
        var number = 0
        var done: UInt64 = 0
        report(done)
        while let batch = batches.next() {
            if control.isCancelled() {
                throw .cancelled(phase, done: done, total: plan.totals.bytes)
            }
            try body(batch, number)
            number += 1
            done += UInt64(batch.length)
            report(done)
        }
        return start.duration(to: clock.now)
    }

    private func report(_ done: UInt64) {
        control.report(
            RestoreProgress(phase: phase, bytesDone: done, bytesTotal: plan.totals.bytes))
    }
}

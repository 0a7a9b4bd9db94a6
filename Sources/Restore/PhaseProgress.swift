/// One phase's events, and the wish to stop in it.
struct PhaseProgress {
    let phase: RestorePhase
    let total: UInt64
    let control: RestoreControl

    func report(_ done: UInt64) {
        control.report(RestoreProgress(phase: phase, bytesDone: done, bytesTotal: total))
    }

    func checkCancelled(_ done: UInt64) throws(RestoreError.Reason) {
        if control.isCancelled() { throw .cancelled(phase, done: done, total: total) }
    }
}

public import Block
internal import ExceptionStore

/// A plan of which everything was read, with a checksum for every batch.
///
/// Only this can be written: no write happens before all that will be written was once read. It
/// takes 4 bytes a batch.
public struct VerifiedPlan: Sendable {
    /// The plan.
    public let plan: RestorePlan
    /// How long verifying took.
    public let duration: Duration

    let checksums: [UInt32]
    let batchSize: Int

    /// Reads everything that the plan puts back.
    ///
    /// - Throws: `source`, `cancelled`; nothing was written.
    init(
        _ plan: RestorePlan, batchSize: Int, control: RestoreControl
    ) throws(RestoreError) {
        var transfer = SerialTransfer(sources: plan.sources, capacity: plan.capacity(batchSize))
        var checksums: [UInt32] = []
        let pass = RestorePass(
            plan: plan, phase: .verifying, batchSize: batchSize, control: control)
        do {
            self.duration = try pass.run { batch, _ throws(RestoreError.Reason) in
                checksums.append(try transfer.load(batch))
            }
        } catch {
            throw RestoreError(error)
        }
        self.plan = plan
        self.checksums = checksums
        self.batchSize = batchSize
    }

    /// Writes the plan to the target, and waits until it is on stable storage.
    ///
    /// Every batch is read again and compared with what was verified before it is written.
    ///
    /// - Parameters:
    ///   - target: As large as the origin, and writable.
    ///   - readBack: Whether to read the target afterwards and compare.
    ///   - control: Events, and the wish to stop. After a stop, too, what was written is put on
    ///     stable storage.
    /// - Returns: What was done.
    /// - Throws: `RestoreError`, which says how far it came.
    public func apply(
        to target: borrowing OwnedDescriptor, readBack: Bool = false,
        control: RestoreControl = RestoreControl()
    ) throws(RestoreError) -> RestoreReport {
        try plan.checkSize(of: target)
        var durations: [RestorePhase: Duration] = [.verifying: duration]
        durations[.writing] = try write(to: target, control)
        durations[.synchronizing] = try synchronize(target, control)
        if readBack {
            durations[.readingBack] = try compare(with: target, control)
        }
        return RestoreReport(
            totals: plan.totals, bytesWritten: plan.totals.bytes, wasReadBack: readBack,
            durations: durations)
    }

    func pass(_ phase: RestorePhase, _ control: RestoreControl) -> RestorePass {
        RestorePass(plan: plan, phase: phase, batchSize: batchSize, control: control)
    }

    private func write(
        to target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        var transfer = SerialTransfer(sources: plan.sources, capacity: plan.capacity(batchSize))
        var written: UInt64 = 0
        var touched = false
        do {
            return try pass(.writing, control).run { batch, number throws(RestoreError.Reason) in
                guard try transfer.load(batch) == checksums[number] else {
                    throw .changedSinceVerified(batch.span, names(of: batch))
                }
                touched = true
                try transfer.store(batch, to: target)
                written += UInt64(batch.length)
            }
        } catch {
            var reason = error
            if touched, case .cancelled = error {
                do {
                    try target.synchronize()
                } catch {
                    reason = .targetNotSynchronized(error)
                }
            }
            throw RestoreError(reason, bytesWritten: written, targetTouched: touched)
        }
    }

    private func synchronize(
        _ target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        let total = plan.totals.bytes
        let clock = ContinuousClock()
        let start = clock.now
        control.report(
            RestoreProgress(phase: .synchronizing, bytesDone: 0, bytesTotal: total))
        do {
            try target.synchronize()
        } catch {
            throw failure(.targetNotSynchronized(error))
        }
        control.report(
            RestoreProgress(phase: .synchronizing, bytesDone: total, bytesTotal: total))
        return start.duration(to: clock.now)
    }

    private func compare(
        with target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        var transfer = SerialTransfer(sources: [], capacity: plan.capacity(batchSize))
        do {
            return try pass(.readingBack, control).run {
                batch, number throws(RestoreError.Reason) in
                guard try transfer.readBack(batch, from: target) == checksums[number] else {
                    throw .readBackDiffers(batch.span)
                }
            }
        } catch {
            throw failure(error)
        }
    }

    /// An error after everything was written.
    private func failure(_ reason: RestoreError.Reason) -> RestoreError {
        RestoreError(
            reason, bytesWritten: plan.totals.bytes, targetTouched: plan.totals.bytes > 0)
    }

    func names(of batch: borrowing Batch) -> [SourceName] {
        Set(batch.pieces.map { $0.extent.source }).sorted().map {
            SourceName(index: $0, path: plan.sources[$0].path)
        }
    }
}

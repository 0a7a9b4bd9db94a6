public import Block
internal import ExceptionStore

/// A plan of which everything was read, with a checksum for every batch.
///
/// Only this can be written: no write happens before all that will be written was once read. It
/// takes 8 bytes a batch.
public struct VerifiedPlan: Sendable {
    /// The plan.
    public let plan: RestorePlan
    /// How long verifying took.
    public let duration: Duration

    let verification: Verification
    let options: RestoreOptions
    let settings: EngineSettings

    /// Reads everything that the plan puts back.
    ///
    /// - Throws: `damaged` unless that is to be left out, `cancelled`; nothing was written.
    init(
        _ plan: RestorePlan, _ options: RestoreOptions, _ settings: EngineSettings,
        _ control: RestoreControl
    ) throws(RestoreError) {
        let clock = ContinuousClock()
        let start = clock.now
        do {
            verification = try Verification(
                plan, batchSize: options.batchSize, settings, control)
        } catch {
            throw RestoreError(error)
        }
        let damage = verification.damage
        guard damage.rangeCount == 0 || options.skipDamaged && damage.isComplete else {
            throw RestoreError(.damaged(damage))
        }
        self.plan = plan
        self.options = options
        self.settings = settings
        self.duration = start.duration(to: clock.now)
    }

    /// What can't be read, and so is left out when the plan is written.
    public var damage: Damage { verification.damage }

    /// The bytes that will be written.
    public var bytesToWrite: UInt64 { plan.totals.bytes - damage.bytes }

    /// Writes the plan to the target, and waits until it is on stable storage.
    ///
    /// Every batch is read again and compared with what was verified
    /// before it is written. While this runs the descriptor is set to direct I/O where that works;
    /// afterwards it is as it was.
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
            totals: plan.totals, bytesWritten: bytesToWrite, wasReadBack: readBack, damage: damage,
            durations: durations)
    }

    /// Whether a target has everything that the plan puts back already; it is not written.
    ///
    /// - Throws: `target`, `targetEnded`, `targetSizeDiffers`, `cancelled`.
    public func matches(
        _ target: borrowing OwnedDescriptor, control: RestoreControl = RestoreControl()
    ) throws(RestoreError) -> Bool {
        try plan.checkSize(of: target)
        do {
            _ = try compare(with: target, control)
            return true
        } catch {
            guard case .readBackDiffers = error.reason else {
                throw RestoreError(error.reason)
            }
            return false
        }
    }

    func slots() -> [BatchSlot] {
        BatchSlot.make(settings.slots, capacity: verification.layout.capacity, settings)
    }

    private func pass(
        _ phase: RestorePhase, _ kind: Request.Kind, _ transfer: TargetTransfer,
        _ control: RestoreControl
    ) -> TargetPass {
        TargetPass(
            phase: phase, total: bytesToWrite, control: control, transfer: transfer, kind: kind)
    }

    private func write(
        to target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        let clock = ContinuousClock()
        let start = clock.now
        let transfer = TargetTransfer(target, settings)
        defer { transfer.close() }
        let feed = verification.feed(plan, slots(), settings)
        defer { feed.stop() }
        do {
            try pass(.writing, .write, transfer, control).run(feed) {
                slot throws(RestoreError.Reason) in
                try checkUnchanged(slot)
            } after: { _ in
            }
        } catch {
            var reason = error
            if transfer.hasBegun, case .cancelled = error {
                do {
                    try target.synchronize()
                } catch {
                    reason = .targetNotSynchronized(error)
                }
            }
            throw RestoreError(
                reason, bytesWritten: transfer.bytesDone, targetTouched: transfer.hasBegun)
        }
        return start.duration(to: clock.now)
    }

    func checkUnchanged(_ slot: BatchSlot) throws(RestoreError.Reason) {
        if let failure = slot.failures.first {
            let extent = failure.extent
            throw .source(
                name(extent.source), extent.range, storedOffset: extent.storedOffset,
                failure.cause)
        }
        guard slot.checksum == verification.checksums[slot.number] else {
            let sources = Set(slot.batch.pieces.map { $0.extent.source })
            throw .changedSinceVerified(slot.batch.span, sources.sorted().map(name))
        }
    }

    private func name(_ source: Int) -> SourceName {
        SourceName(index: source, path: plan.sources[source].path)
    }

    private func synchronize(
        _ target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        let clock = ContinuousClock()
        let start = clock.now
        var progress = control.begin(.synchronizing, total: bytesToWrite)
        do {
            try target.synchronize()
        } catch {
            throw failure(.targetNotSynchronized(error))
        }
        progress.add(bytesToWrite)
        return start.duration(to: clock.now)
    }

    private func compare(
        with target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        let clock = ContinuousClock()
        let start = clock.now
        do {
            try read(target, control) { slot throws(RestoreError.Reason) in
                guard slot.computeChecksum() == verification.checksums[slot.number] else {
                    throw .readBackDiffers(slot.batch.span)
                }
            }
        } catch {
            throw failure(error)
        }
        return start.duration(to: clock.now)
    }

    /// Reads what a target has in the plan's places, in their order.
    func read(
        _ target: borrowing OwnedDescriptor, _ control: RestoreControl,
        _ body: (BatchSlot) throws(RestoreError.Reason) -> Void
    ) throws(RestoreError.Reason) {
        let transfer = TargetTransfer(target, settings)
        defer { transfer.close() }
        let batches = EmptyBatches(verification.layout, slots: slots(), leavingOut: damage)
        try pass(.readingBack, .read, transfer, control).run(
            batches, before: { _ in }, after: body)
    }

    /// An error after everything was written.
    private func failure(_ reason: RestoreError.Reason) -> RestoreError {
        RestoreError(reason, bytesWritten: bytesToWrite, targetTouched: bytesToWrite > 0)
    }
}

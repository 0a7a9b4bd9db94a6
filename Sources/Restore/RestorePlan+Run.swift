public import Block
internal import ExceptionStore

extension RestorePlan {
    /// Reads everything that the plan puts back, and keeps checksums of it.
    ///
    /// It goes on past what can't be read, so that all of that is known at the end.
    ///
    /// - Parameters:
    ///   - options: How large batches are, and what to do about damage.
    ///   - control: Events, and the wish to stop.
    /// - Returns: A plan that can be written.
    /// - Throws: `damaged` or `cancelled`.
    public func verify(
        options: RestoreOptions = RestoreOptions(), control: RestoreControl = RestoreControl()
    ) throws(RestoreError) -> VerifiedPlan {
        try VerifiedPlan(self, options, EngineSettings(), control)
    }

    /// Verifies and then, unless it is a dry run, writes the plan to the target.
    ///
    /// - Parameters:
    ///   - target: As large as the origin; readable is enough for a dry run.
    ///   - options: How to go about it.
    ///   - control: Events, and the wish to stop.
    /// - Returns: What was done.
    /// - Throws: `RestoreError`, which says how far it came.
    public func run(
        on target: borrowing OwnedDescriptor, options: RestoreOptions = RestoreOptions(),
        control: RestoreControl = RestoreControl()
    ) throws(RestoreError) -> RestoreReport {
        try run(on: target, options, EngineSettings(), control)
    }

    func run(
        on target: borrowing OwnedDescriptor, _ options: RestoreOptions,
        _ settings: EngineSettings, _ control: RestoreControl
    ) throws(RestoreError) -> RestoreReport {
        try checkSize(of: target)
        let verified = try VerifiedPlan(self, options, settings, control)
        if options.dryRun {
            return verified.report
        }
        return try verified.apply(to: target, readBack: options.readBack, control: control)
    }

    func checkSize(of target: borrowing OwnedDescriptor) throws(RestoreError) {
        let size: ByteCount
        do {
            size = try target.size()
        } catch {
            throw RestoreError(.targetSizeUnknown(error))
        }
        guard fits(size) else {
            throw RestoreError(.targetSizeDiffers(target: size, origin: originSize))
        }
    }

    /// Whether a target of this size is as large as the origin; the last bytes of an image may make no
    /// sector, and then the origin over it had not got them.
    package func fits(_ size: ByteCount) -> Bool {
        size == originSize || size.inWholeSectors == originSize
    }
}

extension VerifiedPlan {
    /// What was done so far: everything was read, and nothing written.
    public var report: RestoreReport {
        RestoreReport(
            totals: plan.totals, bytesWritten: 0, wasReadBack: false, damage: damage,
            durations: [.verifying: duration])
    }
}

internal import ExceptionStore

/// What verifying found: a checksum for every batch, and the damage.
struct Verification: Sendable {
    let layout: BatchLayout
    private(set) var checksums: [UInt64] = []
    private(set) var damage = Damage()
    /// Whether sources are told before each batch what of them will be read.
    private let announces: Bool

    /// Reads everything that the plan puts back.
    ///
    /// - Throws: `cancelled`.
    init(
        _ plan: RestorePlan, batchSize: Int, _ settings: EngineSettings, _ control: RestoreControl
    ) throws(RestoreError.Reason) {
        layout = BatchLayout(plan, batchSize: batchSize)
        // Of an archive that somebody made up the batches can be without number.
        checksums.reserveCapacity(min(layout.count, 1 << 17))
        var progress = control.begin(.verifying, total: plan.totals.bytes)
        let isScattered = Prefetch.isScattered(plan)
        announces = isScattered && !Prefetch.all(of: plan, isCancelled: control.isCancelled)
        let reader = SourceReader(
            sources: plan.sources, announces: announces, usesRing: settings.form == .automatic)
        let feed = BatchFeed(
            layout,
            slots: BatchSlot.make(settings.slots, capacity: layout.capacity, settings),
            threads: settings.threads
        ) { slot in
            reader.load(slot, locatesDamage: true)
        }
        defer { feed.stop() }
        while true {
            try progress.checkCancelled()
            guard case .ready(_, let slot, _) = feed.next(waits: true) else { break }
            for failure in slot.failures {
                damage.append(failure, of: plan.sources[failure.extent.source])
            }
            checksums.append(slot.checksum)
            let length = UInt64(slot.batch.length)
            feed.release(slot)
            progress.add(length)
        }
    }

    /// Gives batches with their undamaged bytes, read again.
    func feed(
        _ plan: RestorePlan, _ slots: [BatchSlot], _ settings: EngineSettings
    ) -> BatchFeed {
        let reader = SourceReader(
            sources: plan.sources, announces: announces, usesRing: settings.form == .automatic)
        return BatchFeed(layout, slots: slots, threads: settings.threads) { slot in
            slot.batch.markDamaged(damage.ranges(touching: slot.batch.span))
            reader.load(slot, locatesDamage: false)
        }
    }
}

internal import Block
internal import ExceptionStore

/// Batches read from their sources by threads, taken in order.
typealias BatchFeed = OrderedWork<BatchSlot, Void>

extension BatchFeed {
    /// Starts reading.
    ///
    /// - Parameters:
    ///   - slots: More than there are threads.
    ///   - load: Reads one batch; called by several threads at a time.
    init(
        _ layout: BatchLayout, slots: [BatchSlot], threads: Int,
        load: @escaping @Sendable (BatchSlot) -> Void
    ) {
        let iterator = Gate(layout.makeIterator())
        self.init(
            count: UInt64(layout.count), threads: threads, workspaces: slots,
            prepare: { number, slot in
                slot.number = Int(number)
                _ = iterator.change { $0.next(into: &slot.batch) }
            },
            job: { _, slot in load(slot) })
    }
}

/// How a plan is cut into batches.
struct BatchLayout: Sendable {
    let extents: ExtentSequence
    /// The bytes of every batch but the last.
    let capacity: Int
    let count: Int

    init(_ plan: RestorePlan, batchSize: Int) {
        extents = plan.extents
        // A small plan takes little memory.
        capacity = min(batchSize, Int(clamping: max(1, plan.totals.bytes)))
        let size = UInt64(capacity)
        count = Int(plan.totals.bytes / size) + (plan.totals.bytes.isMultiple(of: size) ? 0 : 1)
    }

    func makeIterator() -> BatchIterator { BatchIterator(extents, capacity: capacity) }
}

internal import Block
internal import ExceptionStore

/// What there is to take from those who prepare batches.
enum NextBatch {
    case ready(BatchSlot)
    /// Somebody is at it, or every slot is in use.
    case notYet
    case end
}

/// Batches read from their sources by threads, taken in order.
///
/// There are never more batches between their reading and their release than there are slots.
struct BatchFeed: Sendable {
    private struct State {
        var iterator: BatchIterator
        var started = 0
        var taken = 0
        var isStopped = false
        var free: [BatchSlot]
        var ready: [Int: BatchSlot] = [:]
    }

    private let count: Int
    private let gate: Gate<State>
    private let workers: [WorkerThread]
    private let load: @Sendable (BatchSlot) -> Void

    /// Starts reading.
    ///
    /// - Parameters:
    ///   - slots: More than there are threads.
    ///   - load: Reads one batch; called by several threads at a time.
    init(
        _ layout: BatchLayout, slots: [BatchSlot], threads: Int,
        load: @escaping @Sendable (BatchSlot) -> Void
    ) {
        count = layout.count
        gate = Gate(State(iterator: layout.makeIterator(), free: slots))
        self.load = load
        workers = (0..<min(threads, layout.count)).compactMap { [gate, count] _ in
            WorkerThread.start {
                while let slot = Self.claim(gate, count) {
                    load(slot)
                    gate.change { $0.ready[slot.number] = slot }
                }
            }
        }
    }

    /// Waits for a free slot and makes it the next batch; nil where there is nothing more to do.
    private static func claim(_ gate: Gate<State>, _ count: Int) -> BatchSlot? {
        gate.wait { state -> BatchSlot?? in
            if state.isStopped || state.started == count { return .some(nil) }
            guard let slot = state.free.popLast() else { return nil }
            guard state.iterator.next(into: &slot.batch) else { return .some(nil) }
            slot.number = state.started
            state.started += 1
            return slot
        }
    }

    /// The next batch in order.
    ///
    /// - Parameter waits: Whether to wait for it. The caller has to have released enough.
    func next(waits: Bool) -> NextBatch {
        if workers.isEmpty { return loadNext() }
        return gate.wait { state in
            if state.taken == count { return .end }
            guard let slot = state.ready.removeValue(forKey: state.taken) else {
                return waits ? nil : .notYet
            }
            state.taken += 1
            return .ready(slot)
        }
    }

    /// Where the system gives no thread at all, the caller's own does the work.
    private func loadNext() -> NextBatch {
        let isFree = gate.wait { state -> Bool? in
            state.started == count || !state.free.isEmpty
        }
        guard isFree else { return .notYet }
        guard let slot = Self.claim(gate, count) else { return .end }
        load(slot)
        return .ready(slot)
    }

    /// Gives a batch's slot back.
    func release(_ slot: BatchSlot) {
        gate.change { $0.free.append(slot) }
    }

    /// Ends the threads; nobody reads anything after it.
    func stop() {
        gate.change { $0.isStopped = true }
        for worker in workers { worker.join() }
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

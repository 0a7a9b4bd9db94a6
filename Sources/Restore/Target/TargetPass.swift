internal import ExceptionStore

/// Where a pass over the target gets its batches from.
protocol BatchSupply {
    /// - Parameter waits: Whether to wait for a batch that somebody is at.
    func next(waits: Bool) -> BatchFeed.Next
    func release(_ slot: BatchSlot)
}

extension BatchFeed: BatchSupply {}

/// Batches without contents, to be read from the target.
final class EmptyBatches: BatchSupply {
    private var iterator: BatchIterator
    private var free: [BatchSlot]
    private let damage: Damage
    private var number = 0
    private let count: Int

    init(_ layout: BatchLayout, slots: [BatchSlot], leavingOut damage: Damage) {
        iterator = layout.makeIterator()
        count = layout.count
        free = slots
        self.damage = damage
    }

    func next(waits: Bool) -> BatchFeed.Next {
        guard number < count else { return .end }
        guard let slot = free.popLast() else { return .notYet }
        guard iterator.next(into: &slot.batch) else { return .end }
        slot.batch.markDamaged(damage.ranges(touching: slot.batch.span))
        slot.number = number
        number += 1
        return .ready(UInt64(slot.number), slot, ())
    }

    func release(_ slot: BatchSlot) { free.append(slot) }
}

/// A phase in which the target is written or read, batch after batch, several under way.
struct TargetPass {
    let phase: RestorePhase
    /// The bytes to be moved.
    let total: UInt64
    let control: RestoreControl
    let transfer: TargetTransfer
    let kind: Request.Kind

    /// Takes all batches to their end, in order.
    ///
    /// When it returns, or throws, nothing is under way any more.
    ///
    /// - Parameters:
    ///   - before: Called when a batch is there, before its first request.
    ///   - after: Called when all requests of a batch have ended well.
    func run(
        _ supply: some BatchSupply, before: (BatchSlot) throws(RestoreError.Reason) -> Void,
        after: (BatchSlot) throws(RestoreError.Reason) -> Void
    ) throws(RestoreError.Reason) {
        defer { transfer.drain() }
        var active = Fifo()
        var progress = control.begin(phase, total: total)
        while true {
            while let slot = active.first, slot.requests == 0, transfer.failure == nil {
                active.removeFirst()
                try after(slot)
                let length = UInt64(slot.batch.writtenLength)
                supply.release(slot)
                progress.add(length)
                try progress.checkCancelled()
            }
            if let failure = transfer.failure {
                // What else is under way may fail before this place.
                transfer.drain()
                throw transfer.failure?.reason ?? failure.reason
            }
            switch supply.next(waits: active.first == nil) {
            case .ready(_, let slot, _):
                try progress.checkCancelled()
                try before(slot)
                active.append(slot)
                transfer.begin(kind, slot)
            case .notYet:
                transfer.waitForOne()
            case .end where active.first == nil:
                return
            case .end:
                transfer.waitForOne()
            }
        }
    }

    /// Batches under way, first come, first served.
    private struct Fifo {
        private var slots: [BatchSlot] = []

        var first: BatchSlot? { slots.first }

        mutating func append(_ slot: BatchSlot) { slots.append(slot) }
        mutating func removeFirst() { slots.removeFirst() }
    }
}

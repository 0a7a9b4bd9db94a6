/// A place for one batch under way: its pieces, its memory, and what became of it.
///
/// It is safe to send: one thread at a time has it, and they hand it over under a lock.
final class BatchSlot: @unchecked Sendable {
    var batch = Batch()
    /// Which of the plan's batches it is.
    var number = 0
    /// The batch's bytes; nil until there is something to be put in.
    private(set) var memory: BatchMemory?
    /// Of all that was read undamaged.
    var checksum: UInt64 = 0
    /// What could not be read, in the origin's order.
    var failures: [ReadFailure] = []
    /// Requests to the target that haven't ended.
    var requests = 0
    /// For sorting; kept, so that a batch needs no new memory.
    var order: [ReadOrder] = []
    /// The reads that the batch takes; kept likewise.
    var reads: [SourceReader.Read] = []
    private var ring: RingReader?
    private var hasNoRing = false

    private let settings: EngineSettings
    private let capacity: Int

    init(capacity: Int, _ settings: EngineSettings) {
        self.capacity = capacity
        self.settings = settings
    }

    /// For reading many pieces at once; nil where there is no such thing.
    func requireRing() -> RingReader? {
        if ring == nil, !hasNoRing {
            ring = RingReader()
            hasNoRing = ring == nil
        }
        return ring
    }

    /// The memory, made now if there is none.
    func requireMemory() -> BatchMemory {
        if let memory { return memory }
        let made = BatchMemory(capacity: capacity, meter: settings.meter)
        memory = made
        return made
    }

    /// The checksum of the batch's undamaged bytes, as they are in memory.
    func computeChecksum() -> UInt64 {
        let memory = requireMemory()
        var sum: UInt64 = 0
        batch.forEachFilledPart { sum = memory.checksum(of: $0, after: sum) }
        return sum
    }

    static func make(_ count: Int, capacity: Int, _ settings: EngineSettings) -> [BatchSlot] {
        (0..<count).map { _ in BatchSlot(capacity: capacity, settings) }
    }
}

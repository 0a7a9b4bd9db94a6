internal import Glibc
internal import Synchronization

/// Memory for one batch, aligned to pages so that direct I/O takes it.
///
/// It is safe: the memory is initialised, owned, and lent out in checked parts only; and safe to
/// send, since one thread at a time has the batch. The kernel reads and writes it only between a
/// request's submission and its completion, and `TargetTransfer` keeps it until then.
@safe final class BatchMemory: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<UInt8>
    private let meter: MemoryMeter

    init(capacity: Int, meter: MemoryMeter) {
        // Populated at once: every page that is touched for the first time by itself is a fault, and
        // small restores would spend most of their time on those.
        let start = unsafe mmap(
            nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
            0)
        guard let start = unsafe start, unsafe start != MAP_FAILED else {
            fatalError("no memory for \(capacity) bytes")
        }
        unsafe memory = UnsafeMutableBufferPointer(
            start: start.bindMemory(to: UInt8.self, capacity: capacity), count: capacity)
        self.meter = meter
        meter.add(capacity)
    }

    deinit {
        unsafe meter.add(-memory.count)
        unsafe munmap(memory.baseAddress, memory.count)
    }

    /// Lends a part for writing into it.
    func fill<Failure: Error>(
        _ slot: Range<Int>, _ body: (inout MutableSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        let part = unsafe UnsafeMutableBufferPointer(rebasing: memory[slot])
        var span = unsafe MutableSpan(_unsafeElements: part)
        try body(&span)
    }

    /// Lends a part for reading.
    func use<Result, Failure: Error>(
        _ slot: Range<Int>, _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let part = unsafe UnsafeBufferPointer(rebasing: memory[slot])
        return try body(unsafe Span(_unsafeElements: part))
    }

    /// A part's checksum, after that of the parts before it.
    func checksum(of slot: Range<Int>, after seed: UInt64) -> UInt64 {
        let part = unsafe UnsafeBufferPointer(rebasing: memory[slot])
        return ContentHash.of(unsafe Span(_unsafeElements: part), seed: seed)
    }

    /// A part for the kernel.
    func address(of slot: Range<Int>) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: memory[slot]))
    }
}

/// How much memory batches have, and the most they ever had.
final class MemoryMeter: Sendable {
    private let bytes = Mutex<(now: Int, peak: Int)>((0, 0))

    var peak: Int { bytes.withLock { $0.peak } }
    var now: Int { bytes.withLock { $0.now } }

    func add(_ count: Int) {
        bytes.withLock {
            $0.now += count
            $0.peak = max($0.peak, $0.now)
        }
    }
}

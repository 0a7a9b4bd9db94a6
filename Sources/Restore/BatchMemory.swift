internal import Synchronization

/// Memory for one batch, aligned so that direct I/O takes it.
///
/// It is safe: the memory is initialised, owned, and lent out in checked parts only; and safe to
/// send, since one thread at a time has the batch. The kernel reads and writes it only between a
/// request's submission and its completion, and `TargetTransfer` keeps it until then.
@safe final class BatchMemory: @unchecked Sendable {
    private static let alignment = 4096

    private let memory: UnsafeMutableBufferPointer<UInt8>
    private let meter: MemoryMeter

    init(capacity: Int, meter: MemoryMeter) {
        let raw = UnsafeMutableRawBufferPointer.allocate(
            byteCount: capacity, alignment: Self.alignment)
        unsafe raw.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe memory = raw.bindMemory(to: UInt8.self)
        self.meter = meter
        meter.add(capacity)
    }

    deinit {
        unsafe meter.add(-memory.count)
        unsafe UnsafeMutableRawBufferPointer(memory).deallocate()
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
        return Checksum.of(unsafe Span(_unsafeElements: part), seed: seed)
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

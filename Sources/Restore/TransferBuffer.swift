internal import CZlib

/// Memory for one batch, aligned so that direct I/O takes it.
///
/// It is safe: the memory is initialised, owned, and lent out in checked parts only.
@safe struct TransferBuffer: ~Copyable {
    private static let alignment = 4096

    private let memory: UnsafeMutableBufferPointer<UInt8>

    init(capacity: Int) {
        let raw = UnsafeMutableRawBufferPointer.allocate(
            byteCount: capacity, alignment: Self.alignment)
        unsafe raw.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe memory = raw.bindMemory(to: UInt8.self)
    }

    deinit {
        unsafe UnsafeMutableRawBufferPointer(memory).deallocate()
    }

    /// Lends a part for writing into it.
    mutating func fill<Failure: Error>(
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

    /// The CRC-32 of the first `length` bytes.
    func checksum(length: Int) -> UInt32 {
        use(0..<length) { span in
            unsafe span.withUnsafeBufferPointer { bytes in
                UInt32(truncatingIfNeeded: unsafe crc32_z(0, bytes.baseAddress, bytes.count))
            }
        }
    }
}

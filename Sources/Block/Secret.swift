internal import Glibc
public import SystemPackage

/// A password's bytes, in memory of their own: in no core dump, in no child process, in no swap where
/// the kernel lets it be locked, and overwritten when the last user lets go of it, on every path.
///
/// It is safe: the memory is owned, and lent out in checked parts only; and safe to send, since who
/// fills it hands it on when that is done.
@safe public final class Secret: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    /// How many bytes it has.
    public private(set) var count = 0

    /// An empty one.
    ///
    /// - Parameter capacity: the most bytes that it can have.
    public init(capacity: Int) {
        // One byte more stays zero: C's functions want an end.
        let length = capacity + 1
        let start = unsafe mmap(
            nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let start = unsafe start, unsafe start != MAP_FAILED else {
            fatalError("no memory for \(length) bytes")
        }
        // No matter if one can't be had: what counts is that it is overwritten.
        unsafe madvise(start, length, MADV_DONTDUMP)
        unsafe madvise(start, length, MADV_WIPEONFORK)
        unsafe mlock(start, length)
        unsafe memory = UnsafeMutableRawBufferPointer(start: start, count: capacity)
    }

    /// A copy of these bytes.
    public convenience init(copying bytes: UnsafeRawBufferPointer) {
        let size = bytes.count
        self.init(capacity: size)
        unsafe memory.copyMemory(from: bytes)
        count = size
    }

    deinit {
        guard let start = unsafe memory.baseAddress else { return }
        unsafe explicit_bzero(start, memory.count)
        // Which lets go of the lock as well.
        unsafe munmap(start, memory.count + 1)
    }

    /// Reads on with one read(2).
    ///
    /// - Parameter most: how many bytes to take.
    /// - Returns: how many came: 0 at the end, or when there is no more room.
    public func read(
        from descriptor: FileDescriptor, most: Int = .max, retryOnInterrupt: Bool = true
    ) throws -> Int {
        let end = unsafe min(memory.count, most < memory.count - count ? count + most : .max)
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count..<end])
        let got = try unsafe descriptor.read(into: room, retryOnInterrupt: retryOnInterrupt)
        count += got
        return got
    }

    /// The last byte; nil if there is none.
    public var last: UInt8? { count == 0 ? nil : unsafe memory[count - 1] }

    /// Forgets the last byte, if there is one.
    public func removeLast() {
        guard count > 0 else { return }
        count -= 1
        unsafe memory[count] = 0
    }

    /// Forgets all of them.
    public func removeAll() {
        count = 0
        if let start = unsafe memory.baseAddress { unsafe explicit_bzero(start, memory.count) }
    }

    /// Lends the bytes; behind them is a zero.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
        -> Result
    {
        try unsafe body(UnsafeRawBufferPointer(rebasing: memory[..<count]))
    }

    /// Whether a byte is among them.
    public func contains(_ byte: UInt8) -> Bool {
        unsafe withBytes { unsafe $0.contains(byte) }
    }

    /// Whether both are the same; for two of one length it takes as long wherever they differ.
    public func isSame(as other: Secret) -> Bool {
        guard count == other.count else { return false }
        var difference: UInt8 = 0
        for index in 0..<count { unsafe difference |= memory[index] ^ other.memory[index] }
        return difference == 0
    }
}

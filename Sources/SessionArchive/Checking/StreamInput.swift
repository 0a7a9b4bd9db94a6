internal import Block
internal import ExceptionStore
internal import SystemPackage

/// Bytes that come once and in their order, counted and with a checksum over all of them.
struct StreamInput {
    private let descriptor: FileDescriptor
    private let path: FilePath
    /// How many bytes were read.
    private(set) var offset: UInt64 = 0
    /// The CRC-32 of them all.
    private(set) var checksum = CRC32.empty

    init(_ descriptor: FileDescriptor, path: FilePath) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Reads exactly as many bytes as the span has.
    mutating func fill(_ span: inout MutableSpan<UInt8>) throws(BlockLoader.Failure) {
        let got = try read(&span)
        guard got == span.count else { throw .ended(ByteCount(offset + UInt64(got))) }
        checksum = CRC32.joining(
            checksum, CRC32.of(span.span), length: UInt64(span.count))
        offset += UInt64(got)
    }

    /// Reads exactly `count` bytes.
    mutating func read(_ count: Int) throws(BlockLoader.Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        try fill(&span)
        return bytes
    }

    /// Whether there is nothing more.
    func isAtEnd() throws(BlockLoader.Failure) -> Bool {
        var byte: [UInt8] = [0]
        var span = byte.mutableSpan
        return try read(&span) == 0
    }

    /// Reads until the span is full or the input ends.
    private func read(_ span: inout MutableSpan<UInt8>) throws(BlockLoader.Failure) -> Int {
        var done = 0
        while done < span.count {
            let count: Int
            do {
                count = try unsafe span.withUnsafeMutableBytes { buffer in
                    try unsafe descriptor.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
                }
            } catch {
                throw .system(
                    SystemError(
                        operation: "read", path: path.string, errno: error as? Errno ?? .ioError))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }
}

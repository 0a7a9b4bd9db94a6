internal import Glibc

// What the standard library has no fast, safe form of.
extension Span where Element == UInt8 {
    /// Whether both have the same bytes.
    func equals(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        return unsafe withUnsafeBytes { left in
            unsafe other.withUnsafeBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else {
                    return true
                }
                return unsafe memcmp(left, right, count) == 0
            }
        }
    }

    /// The eight bytes at an offset, which has to be inside.
    func word(at offset: Int) -> UInt64 {
        precondition(offset >= 0 && offset <= count - 8)
        return unsafe withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
    }
}

extension MutableSpan where Element == UInt8 {
    /// Fills with zeros.
    mutating func clear() {
        unsafe withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            unsafe memset(base, 0, bytes.count)
        }
    }

    /// Copies all of `source` to the start.
    mutating func copy(from source: Span<UInt8>) {
        precondition(source.count <= count)
        unsafe withUnsafeMutableBytes { bytes in
            unsafe source.withUnsafeBytes { source in
                unsafe bytes.copyMemory(from: source)
            }
        }
    }

    /// Moves bytes to another place; the two may overlap.
    mutating func move(_ range: Range<Int>, to offset: Int) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        precondition(offset >= 0 && offset <= count - range.count)
        unsafe withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            unsafe memmove(base + offset, base + range.lowerBound, range.count)
        }
    }
}

extension [UInt8] {
    /// Makes it at least so long, with room for more of the same size, up to a limit.
    mutating func lengthen(to length: Int, atMost limit: Int) {
        guard count < length else { return }
        var size = 4096
        while size < length { size <<= 1 }
        self = [UInt8](repeating: 0, count: Swift.max(length, Swift.min(size, limit)))
    }

    /// Lends a part for writing into it.
    mutating func fill<Result, Failure: Error>(
        _ slot: Range<Int>, _ body: (inout MutableSpan<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var whole = mutableSpan
        var part = whole._mutatingExtracting(slot)
        return try body(&part)
    }

    /// Lends a part for reading.
    func use<Result, Failure: Error>(
        _ slot: Range<Int>, _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(span.extracting(slot))
    }
}

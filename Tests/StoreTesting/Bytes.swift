import Glibc

/// Whether these bytes are the same, in place of the standard library's generic comparison: that goes byte by
/// byte through witnesses wherever it isn't specialized, as in tests, which are not optimized.
public func == (one: [UInt8], other: [UInt8]) -> Bool {
    unsafe one.withUnsafeBytes { left in
        unsafe other.withUnsafeBytes { right in
            guard left.count == right.count else { return false }
            guard let start = left.baseAddress, let otherStart = right.baseAddress else {
                return true
            }
            return unsafe memcmp(start, otherStart, left.count) == 0
        }
    }
}

/// The opposite of `==`.
public func != (one: [UInt8], other: [UInt8]) -> Bool {
    !(one == other)
}

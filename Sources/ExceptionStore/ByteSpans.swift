internal import Glibc

extension Span where Element == UInt8 {
    /// Whether all bytes from `start` on are 0; areas can be a gigabyte, so by memcmp.
    package func isZero(from start: Int = 0) -> Bool {
        unsafe withUnsafeBytes { bytes in
            guard start < bytes.count, let base = bytes.baseAddress else { return true }
            let first = unsafe base + start
            // Each byte equals the one after it, and the first is 0.
            return unsafe bytes[start] == 0
                && memcmp(first, first + 1, bytes.count - start - 1) == 0
        }
    }
}

internal import CDeflate
internal import CZlib

/// CRC-32 as in zlib, gzip and PNG.
enum CRC32 {
    /// The checksum of no bytes.
    static let empty: UInt32 = 0

    static func of(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        of(bytes.span)
    }

    static func of(_ bytes: Span<UInt8>) -> UInt32 {
        unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe libdeflate_crc32(0, buffer.baseAddress, buffer.count)
        }
    }

    /// The checksum of so many zeros; takes no time for the bytes.
    static func ofZeros(_ count: UInt64) -> UInt32 {
        let zero: [UInt8] = [0]
        var power = of(zero[...])
        var length: UInt64 = 1
        var sum = empty
        var rest = count
        while rest > 0 {
            if rest & 1 == 1 { sum = joining(sum, power, length: length) }
            rest >>= 1
            if rest > 0 { power = joining(power, power, length: length) }
            length <<= 1
        }
        return sum
    }

    /// The checksum of two parts one after another, from their own; takes no time for the bytes.
    static func joining(_ first: UInt32, _ second: UInt32, length: UInt64) -> UInt32 {
        UInt32(
            truncatingIfNeeded: crc32_combine(
                uLong(first), uLong(second), Int(clamping: length)))
    }
}

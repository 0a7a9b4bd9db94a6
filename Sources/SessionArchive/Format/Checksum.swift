internal import CDeflate
internal import CZlib

/// CRC-32 as in zlib, gzip and PNG.
enum Checksum {
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

    /// The checksum of two parts one after another, from their own; takes no time for the bytes.
    static func joining(_ first: UInt32, _ second: UInt32, length: UInt64) -> UInt32 {
        UInt32(
            truncatingIfNeeded: crc32_combine(
                uLong(first), uLong(second), Int(clamping: length)))
    }
}

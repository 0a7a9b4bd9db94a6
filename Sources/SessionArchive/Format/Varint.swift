/// Numbers in groups of 7 bits, the lowest first; the top bit of a byte says that more follow.
enum Varint {
    /// The most bytes that a number takes.
    static let longest = 10

    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Reads a number and moves `offset` behind it; nil where the bytes end in it, or where it has
    /// more than 64 bits.
    static func read(from bytes: Span<UInt8>, at offset: inout Int) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            let bits = UInt64(byte & 0x7f)
            guard shift < 63 || bits <= 1 else { return nil }
            value |= bits << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
            guard shift <= 63 else { return nil }
        }
        return nil
    }
}

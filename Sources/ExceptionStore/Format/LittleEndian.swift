/// Little-endian integers at a checked byte offset; everything in a store and in an archive is
/// little-endian.
enum LittleEndian {
    /// Reads an integer, or gives nil where it would not lie wholly inside `bytes`.
    static func read<Value: FixedWidthInteger & UnsignedInteger>(
        _ type: Value.Type, from bytes: Span<UInt8>, at offset: Int
    ) -> Value? {
        guard fits(type, at: offset, in: bytes.count) else { return nil }
        var value: Value = 0
        for index in 0..<MemoryLayout<Value>.size {
            value |= Value(bytes[offset + index]) << Value(8 * index)
        }
        return value
    }

    /// Writes an integer; false, with nothing written, where it would not fit.
    static func write<Value: FixedWidthInteger & UnsignedInteger>(
        _ value: Value, into bytes: inout MutableSpan<UInt8>, at offset: Int
    ) -> Bool {
        guard fits(Value.self, at: offset, in: bytes.count) else { return false }
        for index in 0..<MemoryLayout<Value>.size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> Value(8 * index))
        }
        return true
    }

    private static func fits<Value>(_: Value.Type, at offset: Int, in count: Int) -> Bool {
        offset >= 0 && offset <= count && count - offset >= MemoryLayout<Value>.size
    }
}

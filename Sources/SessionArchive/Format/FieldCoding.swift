/// Goes through a record's fields in their order on disk, to read or to write them.
///
/// A record names its fields once, in one function that takes any coder.
protocol FieldCoder {
    mutating func code<Value: FixedWidthInteger & UnsignedInteger>(_ value: inout Value)
}

/// Reads fields, little-endian; after the end every field stays as it was.
struct FieldReader: FieldCoder {
    private let bytes: ArraySlice<UInt8>
    private var offset: Int
    /// Whether all fields that were asked for lay inside the bytes.
    private(set) var isComplete = true

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        offset = bytes.startIndex
    }

    mutating func code<Value: FixedWidthInteger & UnsignedInteger>(_ value: inout Value) {
        let size = MemoryLayout<Value>.size
        guard bytes.endIndex - offset >= size else {
            isComplete = false
            return
        }
        var result: Value = 0
        for index in 0..<size {
            result |= Value(bytes[offset + index]) << Value(8 * index)
        }
        value = result
        offset += size
    }
}

/// Writes fields, little-endian, at the end of its bytes.
struct FieldWriter: FieldCoder {
    var bytes: [UInt8] = []

    mutating func code<Value: FixedWidthInteger & UnsignedInteger>(_ value: inout Value) {
        for index in 0..<MemoryLayout<Value>.size {
            bytes.append(UInt8(truncatingIfNeeded: value >> Value(8 * index)))
        }
    }

    mutating func append(_ value: UInt32) {
        var value = value
        code(&value)
    }
}

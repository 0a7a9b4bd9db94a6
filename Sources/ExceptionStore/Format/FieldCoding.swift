/// Goes through a record's fields in their order on disk, to read or to write them.
///
/// A record names its fields once, in one function that takes any coder.
package protocol FieldCoder {
    /// Reads the next field into `value`, or writes it.
    mutating func code<Value: FixedWidthInteger & UnsignedInteger>(_ value: inout Value)
}

/// Reads fields, little-endian; after the end every field stays as it was.
package struct FieldReader: FieldCoder {
    private let bytes: ArraySlice<UInt8>
    private var offset = 0
    /// Whether all fields that were asked for lay inside the bytes.
    package private(set) var isComplete = true

    /// Starts at the first byte.
    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    /// Starts at the first byte of a copy.
    init(copying span: Span<UInt8>) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(span.count)
        for index in span.indices { bytes.append(span[index]) }
        self.init(bytes[...])
    }

    package mutating func code<Value: FixedWidthInteger & UnsignedInteger>(_ value: inout Value) {
        guard let read = LittleEndian.read(Value.self, from: bytes.span, at: offset) else {
            isComplete = false
            return
        }
        value = read
        offset += MemoryLayout<Value>.size
    }
}

/// Writes fields, little-endian, at the end of its bytes.
package struct FieldWriter: FieldCoder {
    /// What was written.
    package var bytes: [UInt8]

    /// Starts behind these bytes.
    package init(bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    package mutating func code<Value: FixedWidthInteger & UnsignedInteger>(_ value: inout Value) {
        let offset = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: MemoryLayout<Value>.size))
        var span = bytes.mutableSpan
        _ = LittleEndian.write(value, into: &span, at: offset)
    }

    /// Writes a number that is no field.
    package mutating func append(_ value: UInt32) {
        var value = value
        code(&value)
    }
}

/// Numbers in bytes from a disk, by their offset; nil where the bytes end before the number does.
struct ByteFields {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Up to `count` bytes of a device.
    init(
        _ device: borrowing OwnedDescriptor, at offset: UInt64, count: Int
    ) throws(SystemError) {
        bytes = try device.read(count: count, at: offset)
    }

    var count: Int { bytes.count }

    func little<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type, at offset: Int
    ) -> Number? {
        big(type, at: offset)?.byteSwapped
    }

    func big<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type, at offset: Int
    ) -> Number? {
        let length = Number.bitWidth / 8
        guard offset >= 0, offset <= bytes.count - length else { return nil }
        return bytes[offset..<offset + length].reduce(0) { number, byte in
            // A byte's shift would be all of its width.
            (length == 1 ? 0 : number << 8) | Number(byte)
        }
    }

    func has(_ text: String, at offset: Int) -> Bool {
        offset >= 0 && bytes.dropFirst(offset).starts(with: text.utf8)
    }
}

internal import ExceptionStore

/// What stands before every section's payload.
struct SectionHeader: Hashable, Sendable {
    /// The size on disk, in bytes.
    static let size = 40
    private static let coveredSize = 36

    /// How a section's contents are kept.
    enum Method: UInt8, Sendable {
        /// The payload is the contents.
        case stored = 0
        /// The payload is one raw DEFLATE stream (RFC 1951).
        case deflated = 1
        /// There is no payload; every byte of the contents is 0.
        case zeros = 2
    }

    var tag: SectionTag
    var method: Method
    /// Whether a reader that doesn't know the tag may go on behind the section.
    var isOptional = false
    /// Counts the sections with this tag from 0.
    var number: UInt64
    /// The size of the contents, in bytes.
    var contentsLength: UInt32
    /// The size of the payload, in bytes.
    var payloadLength: UInt32
    /// The CRC-32 of the contents.
    var contentsChecksum: UInt32
    /// The CRC-32 of the payload.
    var payloadChecksum: UInt32

    init(
        tag: SectionTag, method: Method, number: UInt64, contentsLength: Int, payloadLength: Int,
        contentsChecksum: UInt32, payloadChecksum: UInt32
    ) {
        self.tag = tag
        self.method = method
        self.number = number
        self.contentsLength = UInt32(contentsLength)
        self.payloadLength = UInt32(payloadLength)
        self.contentsChecksum = contentsChecksum
        self.payloadChecksum = payloadChecksum
    }

    /// The header's bytes.
    var encoded: [UInt8] {
        var fields = Fields()
        fields.tag = tag.code
        fields.method = method.rawValue
        fields.flags = isOptional ? 1 : 0
        fields.number = number
        fields.contentsLength = contentsLength
        fields.payloadLength = payloadLength
        fields.contentsChecksum = contentsChecksum
        fields.payloadChecksum = payloadChecksum
        var writer = FieldWriter()
        fields.code(&writer)
        writer.append(CRC32.of(writer.bytes[...]))
        return writer.bytes
    }

    /// Reads a header and checks it by itself; that it is the one expected is the caller's to see.
    init(_ bytes: ArraySlice<UInt8>, blockSize: UInt32) throws(ArchiveFault) {
        var fields = Fields()
        var checksum: UInt32 = 0
        var reader = FieldReader(bytes)
        fields.code(&reader)
        reader.code(&checksum)
        guard reader.isComplete else { throw .length }
        guard checksum == CRC32.of(bytes.prefix(Self.coveredSize)) else { throw .checksum }
        guard let method = Method(rawValue: fields.method), fields.flags & ~1 == 0,
            fields.reserved == 0, fields.reservedToo == 0
        else { throw .number }
        guard fields.contentsLength <= blockSize else { throw .length }
        switch method {
        case .stored: guard fields.payloadLength == fields.contentsLength else { throw .length }
        case .deflated:
            guard fields.payloadLength < fields.contentsLength else { throw .length }
            // Else memory would be taken for what can't come.
            let most = UInt64(fields.payloadLength) * ArchiveFormat.mostInflation
            guard UInt64(fields.contentsLength) <= most else { throw .compression }
        case .zeros: guard fields.payloadLength == 0 else { throw .length }
        }
        tag = SectionTag(code: fields.tag)
        self.method = method
        isOptional = fields.flags == 1
        number = fields.number
        contentsLength = fields.contentsLength
        payloadLength = fields.payloadLength
        contentsChecksum = fields.contentsChecksum
        payloadChecksum = fields.payloadChecksum
    }

    private struct Fields {
        var tag: UInt32 = 0
        var method: UInt8 = 0
        var flags: UInt8 = 0
        var reserved: UInt16 = 0
        var number: UInt64 = 0
        var contentsLength: UInt32 = 0
        var payloadLength: UInt32 = 0
        var contentsChecksum: UInt32 = 0
        var payloadChecksum: UInt32 = 0
        var reservedToo: UInt32 = 0

        mutating func code(_ coder: inout some FieldCoder) {
            coder.code(&tag)
            coder.code(&method)
            coder.code(&flags)
            coder.code(&reserved)
            coder.code(&number)
            coder.code(&contentsLength)
            coder.code(&payloadLength)
            coder.code(&contentsChecksum)
            coder.code(&payloadChecksum)
            coder.code(&reservedToo)
        }
    }
}

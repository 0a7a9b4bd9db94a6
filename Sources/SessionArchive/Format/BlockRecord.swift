internal import ExceptionStore

/// What the index says of a block.
struct BlockRecord: Hashable, Sendable {
    /// The size on disk, in bytes.
    static let size = 24

    /// Where the block's section begins in the archive.
    var offset: UInt64 = 0
    /// These four are the section's own.
    var contentsLength: UInt32 = 0
    var payloadLength: UInt32 = 0
    var contentsChecksum: UInt32 = 0
    var payloadChecksum: UInt32 = 0

    init() {}

    init(_ header: SectionHeader, at offset: UInt64) {
        self.offset = offset
        contentsLength = header.contentsLength
        payloadLength = header.payloadLength
        contentsChecksum = header.contentsChecksum
        payloadChecksum = header.payloadChecksum
    }

    /// The bytes on disk.
    var encoded: [UInt8] {
        var copy = self
        var writer = FieldWriter()
        copy.code(&writer)
        return writer.bytes
    }

    mutating func code(_ coder: inout some FieldCoder) {
        coder.code(&offset)
        coder.code(&contentsLength)
        coder.code(&payloadLength)
        coder.code(&contentsChecksum)
        coder.code(&payloadChecksum)
    }

    /// Whether the payload is a DEFLATE stream: one that is stored is as long as the contents.
    var isDeflated: Bool { payloadLength > 0 && payloadLength < contentsLength }

    /// Whether a section's header is the one that the index speaks of.
    func describes(_ header: SectionHeader, number: UInt64) -> Bool {
        header.tag == .block && header.number == number
            && BlockRecord(header, at: offset) == self
    }
}

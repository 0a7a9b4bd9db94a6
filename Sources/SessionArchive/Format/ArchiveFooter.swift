internal import ExceptionStore

/// What an archive ends with: where its index is, how much there is, and a checksum of it all.
struct ArchiveFooter: Hashable, Sendable {
    /// The size on disk, in bytes.
    static let size = 60
    private static let coveredSize = 56

    /// Where the index begins.
    var indexOffset: UInt64 = 0
    /// The size of the archive, the footer included.
    var archiveLength: UInt64 = 0
    /// The exceptions whose contents are in blocks.
    var dataChunks: UInt64 = 0
    /// The exceptions whose contents are zeros.
    var zeroChunks: UInt64 = 0
    /// The sections with data.
    var blocks: UInt64 = 0
    /// The sections of the index with runs.
    var runSections: UInt32 = 0
    /// The sections of the index that say where blocks are.
    var blockSections: UInt32 = 0
    /// The CRC-32 of everything before the footer.
    var archiveChecksum: UInt32 = 0

    init() {}

    /// The footer's bytes.
    var encoded: [UInt8] {
        var copy = self
        var writer = FieldWriter()
        writer.append(SectionTag.footer.code)
        copy.code(&writer)
        writer.append(CRC32.of(writer.bytes[...]))
        return writer.bytes
    }

    /// Reads a footer and checks it by itself.
    init(_ bytes: ArraySlice<UInt8>) throws(ArchiveFault) {
        var tag: UInt32 = 0
        var checksum: UInt32 = 0
        var reader = FieldReader(bytes)
        reader.code(&tag)
        code(&reader)
        reader.code(&checksum)
        guard reader.isComplete else { throw .length }
        guard tag == SectionTag.footer.code else { throw .missing }
        guard checksum == CRC32.of(bytes.prefix(Self.coveredSize)) else { throw .checksum }
    }

    private mutating func code(_ coder: inout some FieldCoder) {
        coder.code(&indexOffset)
        coder.code(&archiveLength)
        coder.code(&dataChunks)
        coder.code(&zeroChunks)
        coder.code(&blocks)
        coder.code(&runSections)
        coder.code(&blockSections)
        coder.code(&archiveChecksum)
    }
}

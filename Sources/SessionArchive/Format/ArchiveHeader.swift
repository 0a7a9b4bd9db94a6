internal import ExceptionStore

/// What an archive begins with.
struct ArchiveHeader: Hashable, Sendable {
    /// The size of the fields before the metadata.
    static let fixedSize = 40
    static let checksumSize = 4

    /// The largest contents of a section, in bytes; a power of two.
    var blockSize: UInt32
    /// The chunk size in bytes.
    var chunkSize: UInt32
    /// The origin's size in bytes.
    var originSize: UInt64
    /// The caller's, in UTF-8.
    var metadata: [UInt8]

    /// The size of the header on disk.
    private(set) var length: UInt32 = 0

    init(blockSize: UInt32, chunkSize: UInt32, originSize: UInt64, metadata: [UInt8]) {
        self.blockSize = blockSize
        self.chunkSize = chunkSize
        self.originSize = originSize
        self.metadata = metadata
        length = UInt32(Self.fixedSize + metadata.count + Self.checksumSize)
    }

    /// The header's bytes.
    var encoded: [UInt8] {
        var fields = FixedFields()
        fields.headerLength = length
        fields.blockSize = blockSize
        fields.chunkSize = chunkSize
        fields.metadataLength = UInt32(metadata.count)
        fields.originSize = originSize
        var writer = FieldWriter(bytes: ArchiveFormat.magic)
        fields.code(&writer)
        writer.bytes += metadata
        writer.append(CRC32.of(writer.bytes[...]))
        return writer.bytes
    }

    /// The header's size, from its first `fixedSize` bytes, before anything is known to be good.
    static func length(in bytes: ArraySlice<UInt8>) throws(ArchiveError) -> Int {
        guard bytes.starts(with: ArchiveFormat.magic) else { throw .notAnArchive }
        let fields = try FixedFields(bytes)
        // Another version may have another layout: this comes before any checksum.
        guard fields.version == ArchiveFormat.version else {
            throw .unsupportedVersion(fields.version)
        }
        let least = fixedSize + checksumSize
        guard (least...ArchiveFormat.largestHeader).contains(Int(fields.headerLength)) else {
            throw .damaged(.header, .length)
        }
        return Int(fields.headerLength)
    }

    /// Reads and checks a whole header.
    init(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) {
        guard try Self.length(in: bytes) == bytes.count else { throw .damaged(.header, .length) }
        let covered = bytes.dropLast(Self.checksumSize)
        var checksum: UInt32 = 0
        var reader = FieldReader(bytes.suffix(Self.checksumSize))
        reader.code(&checksum)
        guard checksum == CRC32.of(covered) else { throw .damaged(.header, .checksum) }

        let fields = try FixedFields(bytes)
        let unknown = fields.requiredFeatures & ~ArchiveFormat.knownFeatures
        guard unknown == 0 else { throw .unsupportedFeatures(unknown) }
        guard fields.metadataLength <= UInt32(ArchiveFormat.largestMetadata),
            Int(fields.metadataLength) <= covered.count - Self.fixedSize
        else { throw .damaged(.header, .length) }
        guard fields.blockSize.nonzeroBitCount == 1,
            ArchiveFormat.blockSizes.contains(UInt64(fields.blockSize))
        else { throw .damaged(.header, .number) }
        blockSize = fields.blockSize
        chunkSize = fields.chunkSize
        originSize = fields.originSize
        metadata = [UInt8](
            covered.dropFirst(Self.fixedSize).prefix(Int(fields.metadataLength)))
        length = fields.headerLength
    }

    /// The metadata as text.
    var text: String {
        get throws(ArchiveError) {
            guard let text = String(validating: metadata, as: UTF8.self) else {
                throw .damaged(.header, .number)
            }
            return text
        }
    }

    private struct FixedFields {
        var version = ArchiveFormat.version
        var requiredFeatures: UInt32 = 0
        var headerLength: UInt32 = 0
        var blockSize: UInt32 = 0
        var chunkSize: UInt32 = 0
        var metadataLength: UInt32 = 0
        var originSize: UInt64 = 0

        init() {}

        init(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) {
            var reader = FieldReader(bytes.dropFirst(ArchiveFormat.magic.count))
            code(&reader)
            guard reader.isComplete else { throw .damaged(.header, .length) }
        }

        mutating func code(_ coder: inout some FieldCoder) {
            coder.code(&version)
            coder.code(&requiredFeatures)
            coder.code(&headerLength)
            coder.code(&blockSize)
            coder.code(&chunkSize)
            coder.code(&metadataLength)
            coder.code(&originSize)
        }
    }
}

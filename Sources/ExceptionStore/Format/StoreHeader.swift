internal import Block

/// What chunk 0 of a store says.
///
/// The kernel's `struct disk_header` (dm-snap-persistent.c): four little-endian 32-bit numbers;
/// the rest of the chunk is 0.
public struct StoreHeader: Hashable, Sendable {
    /// The size on disk, in bytes.
    public static let size = 16
    /// `SnAp` in memory order.
    public static let magic: UInt32 = 0x7041_6e53
    /// The only version there is.
    public static let version: UInt32 = 1

    /// The store's chunk size; where a table has another, the kernel takes this one.
    public var chunkSize: ChunkSize

    /// The header of a valid store of version 1.
    public init(chunkSize: ChunkSize) {
        self.chunkSize = chunkSize
    }

    /// Reads a header from the first bytes of chunk 0; nil for a fresh store's.
    ///
    /// A fresh store's magic number is 0: the kernel writes the header when it loads the table.
    /// The kernel takes any `valid` but 0; it only ever writes 1 and 0, so another number is
    /// refused here like 0.
    ///
    /// - Throws: `truncated`, `notAStore`, `freshHeaderOverData`, `invalidated`,
    ///   `unknownVersion`, `chunkSize`.
    public static func read(
        from bytes: Span<UInt8>
    ) throws(ExceptionStoreError) -> StoreHeader? {
        guard let fields = HeaderFields(reading: bytes) else {
            throw .truncated(
                needed: ByteCount(UInt64(size)), size: ByteCount(UInt64(bytes.count)))
        }
        if fields == HeaderFields() { return nil }
        if fields.magic == 0 { throw .freshHeaderOverData }
        guard fields.magic == magic else { throw .notAStore(magic: fields.magic) }
        guard fields.version == version else { throw .unknownVersion(fields.version) }
        guard fields.valid == 1 else { throw .invalidated(valid: fields.valid) }
        return try StoreHeader(
            chunkSize: ChunkSize(SectorCount(UInt64(fields.chunkSectors))))
    }

    /// Writes the header; false, and nothing is written, where `bytes` has less than 16.
    public func write(into bytes: inout MutableSpan<UInt8>) -> Bool {
        var fields = HeaderFields()
        fields.magic = Self.magic
        fields.valid = 1
        fields.version = Self.version
        fields.chunkSectors = UInt32(chunkSize.sectors.sectors)
        return fields.write(into: &bytes)
    }
}

/// The header's numbers as they stand on disk: the one field list for reading and writing.
struct HeaderFields: Hashable {
    var magic: UInt32 = 0
    var valid: UInt32 = 0
    var version: UInt32 = 0
    var chunkSectors: UInt32 = 0

    init() {}

    init?(reading bytes: Span<UInt8>) {
        var reader = FieldReader(copying: bytes.extracting(first: StoreHeader.size))
        code(&reader)
        guard reader.isComplete else { return nil }
    }

    func write(into bytes: inout MutableSpan<UInt8>) -> Bool {
        guard bytes.count >= StoreHeader.size else { return false }
        var copy = self
        var writer = FieldWriter()
        copy.code(&writer)
        for (offset, byte) in writer.bytes.enumerated() { bytes[offset] = byte }
        return true
    }

    private mutating func code(_ coder: inout some FieldCoder) {
        coder.code(&magic)
        coder.code(&valid)
        coder.code(&version)
        coder.code(&chunkSectors)
    }
}

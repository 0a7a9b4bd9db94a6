public import Block

/// The unit of copy-on-write: a power of two of 512-byte sectors, from 1 sector to 2²¹ (1 GiB).
///
/// The limits are the kernel's (`dm_exception_store_set_chunk_size` in dm-exception-store.c). That
/// it must also be a multiple of both devices' logical blocks only the devices can tell.
public struct ChunkSize: Hashable, Sendable {
    /// 512 bytes.
    public static let minimum = ChunkSize(sectorShift: 0)
    /// 1 GiB.
    public static let maximum = ChunkSize(sectorShift: 21)
    /// 16 KiB: what the kernel takes for a 0 in a table.
    public static let kernelDefault = ChunkSize(sectorShift: 5)

    private let sectorShift: UInt8

    private init(sectorShift: UInt8) {
        self.sectorShift = sectorShift
    }

    /// Checks a number of sectors, as in a table or in a header on disk.
    ///
    /// - Throws: `chunkSize` for 0, for what is no power of two, and for more than 2²¹.
    public init(_ count: SectorCount) throws(ExceptionStoreError) {
        let sectors = count.sectors
        guard sectors != 0 else { throw .chunkSize(.zero) }
        guard sectors & (sectors - 1) == 0 else { throw .chunkSize(.notPowerOfTwo(count)) }
        guard sectors <= Self.maximum.sectors.sectors else { throw .chunkSize(.tooLarge) }
        self.init(sectorShift: UInt8(sectors.trailingZeroBitCount))
    }

    /// Checks a number of bytes.
    ///
    /// - Throws: `chunkSize`, also for what is no whole number of sectors.
    public init(_ count: ByteCount) throws(ExceptionStoreError) {
        guard count.bytes.isMultiple(of: SectorCount.size) else {
            throw .chunkSize(.notWholeSectors(count))
        }
        try self.init(SectorCount(count.bytes / SectorCount.size))
    }

    /// The size in sectors.
    public var sectors: SectorCount { SectorCount(1 << UInt64(sectorShift)) }

    /// The size in bytes.
    public var bytes: ByteCount { ByteCount(1 << UInt64(byteShift)) }

    /// The binary logarithm of the size in bytes, from 9 to 30.
    public var byteShift: Int { Int(sectorShift) + 9 }

    /// How many exceptions one area of metadata holds: as many as fit into a chunk.
    public var exceptionsPerArea: UInt64 { bytes.bytes / UInt64(ExceptionEntry.size) }

    /// How many chunks it takes to cover `size`, the last of which may be short.
    public func chunks(covering size: ByteCount) -> UInt64 {
        let whole = wholeChunks(in: size)
        return size.bytes & (bytes.bytes - 1) == 0 ? whole : whole + 1
    }

    /// How many chunks lie wholly inside `size`.
    public func wholeChunks(in size: ByteCount) -> UInt64 {
        size.bytes >> UInt64(byteShift)
    }

    /// The offset in bytes at which a chunk starts; nil where it overflows.
    public func offset(of chunk: UInt64) -> UInt64? {
        let (offset, overflow) = chunk.multipliedReportingOverflow(by: bytes.bytes)
        return overflow ? nil : offset
    }
}

extension ChunkSize: Comparable {
    /// Orders by size.
    public static func < (left: ChunkSize, right: ChunkSize) -> Bool {
        left.sectorShift < right.sectorShift
    }
}

extension ChunkSize: Codable {
    /// Decodes a number of bytes, with the same checks as any other.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            try self.init(ByteCount(container.decode(UInt64.self)))
        } catch let error as ExceptionStoreError {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: error.description)
        }
    }

    /// Encodes a number of bytes.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(bytes.bytes)
    }
}

internal import Block
internal import ExceptionStore

/// An archive's header and footer, checked by themselves and against each other.
struct ArchiveEnds: Sendable {
    let header: ArchiveHeader
    let footer: ArchiveFooter
    let chunkSize: ChunkSize
    /// The bytes of data that the footer speaks of.
    let dataLength: UInt64

    init(_ archive: borrowing OwnedDescriptor) throws(ArchiveError) {
        let size: UInt64
        do {
            size = try archive.size().bytes
        } catch {
            throw .system(error)
        }
        header = try Self.readHeader(archive, size: size)
        let start = UInt64(header.length)
        let least = start + UInt64(ArchiveFooter.size)
        guard size >= least else {
            throw .truncated(needed: ByteCount(least), size: ByteCount(size))
        }
        let bytes = try Self.read(
            archive, count: ArchiveFooter.size, at: size - UInt64(ArchiveFooter.size))
        do {
            footer = try ArchiveFooter(bytes[...])
        } catch {
            throw .damaged(.footer, error)
        }
        guard footer.archiveLength == size else { throw .damaged(.footer, .length) }
        (chunkSize, dataLength) = try Self.check(header, footer)
    }

    private static func readHeader(
        _ archive: borrowing OwnedDescriptor, size: UInt64
    ) throws(ArchiveError) -> ArchiveHeader {
        let first = try read(archive, count: ArchiveHeader.fixedSize, at: 0)
        let length = try ArchiveHeader.length(in: first[...])
        guard UInt64(length) <= size else {
            throw .truncated(needed: ByteCount(UInt64(length)), size: ByteCount(size))
        }
        return try ArchiveHeader(try read(archive, count: length, at: 0)[...])
    }

    /// The header's chunk size, checked.
    static func chunkSize(_ header: ArchiveHeader) throws(ArchiveError) -> ChunkSize {
        do {
            return try ChunkSize(ByteCount(UInt64(header.chunkSize)))
        } catch {
            throw .damaged(.header, .number)
        }
    }

    /// Checks that the numbers can be right together; then no sum or product of them overflows.
    private static func check(
        _ header: ArchiveHeader, _ footer: ArchiveFooter
    ) throws(ArchiveError) -> (ChunkSize, dataLength: UInt64) {
        let chunkSize = try chunkSize(header)
        let originChunks = chunkSize.chunks(covering: ByteCount(header.originSize))
        let (chunks, overflow) = footer.dataChunks.addingReportingOverflow(footer.zeroChunks)
        guard !overflow, chunks <= originChunks, chunkSize.offset(of: chunks) != nil,
            let dataLength = chunkSize.offset(of: footer.dataChunks)
        else { throw .damaged(.footer, .runs) }
        // The size was compared: it is at least a header and a footer.
        let area = UInt64(header.length)...footer.archiveLength - UInt64(ArchiveFooter.size)
        guard area.contains(footer.indexOffset) else { throw .damaged(.footer, .length) }
        let room = (footer.indexOffset - area.lowerBound) / UInt64(SectionHeader.size)
        guard footer.blocks <= room else { throw .damaged(.footer, .blocks) }
        return (chunkSize, dataLength)
    }

    /// The memory for the directory of blocks: there are no more than the archive has room for.
    var directoryMemory: UInt64 { footer.blocks * BlockDirectory.entryBytes }

    /// Where blocks can be, and how large they are.
    var blockRules: BlockDirectory.Rules {
        let index = footer.archiveLength - footer.indexOffset
        let (most, overflow) = index.multipliedReportingOverflow(by: ArchiveFormat.mostInflation)
        return BlockDirectory.Rules(
            area: UInt64(header.length)..<footer.indexOffset, count: footer.blocks,
            expected: min(footer.blocks, (overflow ? .max : most) / UInt64(BlockRecord.size)),
            unit: min(header.chunkSize, header.blockSize), blockSize: header.blockSize)
    }

    /// Reads exactly `count` bytes.
    private static func read(
        _ archive: borrowing OwnedDescriptor, count: Int, at offset: UInt64
    ) throws(ArchiveError) -> [UInt8] {
        let bytes: [UInt8]
        do {
            bytes = try archive.read(count: count, at: offset)
        } catch {
            throw .system(error)
        }
        guard bytes.count == count else {
            let start = bytes.prefix(ArchiveFormat.magic.count)
            guard offset > 0 || ArchiveFormat.magic.starts(with: start) else { throw .notAnArchive }
            throw .truncated(
                needed: ByteCount(offset + UInt64(count)),
                size: ByteCount(offset + UInt64(bytes.count)))
        }
        return bytes
    }
}

internal import Block
internal import ExceptionStore

/// The state of checking an archive from front to back, in memory that doesn't depend on it.
///
/// The directory of blocks is compared with the blocks by a checksum over all records.
struct StreamCheck {
    private var input: StreamInput
    private let header: ArchiveHeader
    private let chunkSize: ChunkSize
    private let loader: BlockLoader
    private var contents: [UInt8]

    private var blocks: UInt64 = 0
    private var dataLength: UInt64 = 0
    private var endOfBlocks: UInt64
    private var startOfIndex: UInt64?
    private var index: IndexChecker
    /// The records that the blocks should have in the index, and those that it has.
    private var expected = CRC32.empty
    private var found = CRC32.empty
    private var foundLength: UInt64 = 0

    /// Reads the header.
    init(_ input: StreamInput) throws(ArchiveError) {
        self.input = input
        header = try Self.readHeader(&self.input)
        chunkSize = try ArchiveEnds.chunkSize(header)
        loader = try BlockLoader(blockSize: Int(header.blockSize))
        contents = []
        endOfBlocks = self.input.offset
        index = IndexChecker(header: header, footer: nil, chunkSize: chunkSize)
    }

    /// How many bytes were read.
    var offset: UInt64 { input.offset }

    /// Checks the next section; gives the footer where that comes instead.
    mutating func next() throws(ArchiveError) -> ArchiveFooter? {
        let start = input.offset
        let checksum = input.checksum
        do throws(BlockLoader.Failure) {
            let tag = try input.read(4)
            guard tag == SectionTag.footer.bytes else {
                let rest = try input.read(SectionHeader.size - tag.count)
                try check((tag + rest)[...], start)
                return nil
            }
            let rest = try input.read(ArchiveFooter.size - tag.count)
            guard try input.isAtEnd() else { throw BlockLoader.Failure.fault(.length) }
            return try finish((tag + rest)[...], start, checksum)
        } catch {
            throw error.archiveError(.whole, needed: input.offset + 1)
        }
    }

    private mutating func check(
        _ bytes: ArraySlice<UInt8>, _ start: UInt64
    ) throws(BlockLoader.Failure) {
        let section: SectionHeader
        do {
            section = try SectionHeader(bytes, blockSize: header.blockSize)
        } catch {
            throw .fault(error)
        }
        if section.method == .zeros {
            try loader.checkZeros(section)
            return try add(section, start)
        }
        let slot = 0..<Int(section.contentsLength)
        contents.lengthen(to: slot.upperBound, atMost: Int(header.blockSize))
        _ = try contents.fill(slot) { span throws(BlockLoader.Failure) in
            try loader.load(section, into: &span) { span throws(BlockLoader.Failure) in
                try input.fill(&span)
            }
        }
        try add(section, start)
    }

    /// - Parameter section: One whose contents, if they aren't zeros, were read and are good.
    private mutating func add(
        _ section: SectionHeader, _ start: UInt64
    ) throws(BlockLoader.Failure) {
        do {
            if section.tag == .block {
                try addBlock(section, start)
            } else {
                try addIndex(section, start)
            }
        } catch {
            throw .fault(error)
        }
    }

    private mutating func addBlock(
        _ section: SectionHeader, _ start: UInt64
    ) throws(ArchiveFault) {
        guard startOfIndex == nil, section.number == blocks else { throw .contradiction }
        let unit = min(header.chunkSize, header.blockSize)
        guard section.contentsLength > 0, section.contentsLength.isMultiple(of: unit) else {
            throw .length
        }
        let (length, overflow) = dataLength.addingReportingOverflow(
            UInt64(section.contentsLength))
        guard !overflow else { throw .length }
        dataLength = length
        blocks += 1
        endOfBlocks = input.offset
        expected = CRC32.joining(
            expected, CRC32.of(BlockRecord(section, at: start).encoded[...]),
            length: UInt64(BlockRecord.size))
    }

    private mutating func addIndex(
        _ section: SectionHeader, _ start: UInt64
    ) throws(ArchiveFault) {
        // Zeros, of which there are none here, are refused.
        let part = section.method == .zeros ? [] : contents[..<Int(section.contentsLength)]
        guard let tag = try index.check(section, part, visit: { _ in }) else { return }
        if startOfIndex == nil { startOfIndex = start }
        if tag == .blocks {
            found = CRC32.joining(
                found, CRC32.of(part), length: UInt64(part.count))
            foundLength += UInt64(part.count)
        }
    }

    private func finish(
        _ bytes: ArraySlice<UInt8>, _ start: UInt64, _ checksum: UInt32
    ) throws(BlockLoader.Failure) -> ArchiveFooter {
        do throws(ArchiveFault) {
            let footer = try ArchiveFooter(bytes)
            guard footer.archiveLength == input.offset else { throw .length }
            guard footer.archiveChecksum == checksum else { throw .checksum }
            try index.finish(footer)
            guard footer.blocks == blocks,
                footer.dataChunks.multipliedReportingOverflow(
                    by: chunkSize.bytes.bytes) == (dataLength, false),
                found == expected, foundLength == blocks * UInt64(BlockRecord.size)
            else { throw .blocks }
            guard (endOfBlocks...(startOfIndex ?? start)).contains(footer.indexOffset) else {
                throw .contradiction
            }
            return footer
        } catch {
            throw .fault(error)
        }
    }

    private static func readHeader(
        _ input: inout StreamInput
    ) throws(ArchiveError) -> ArchiveHeader {
        let length: Int
        var bytes: [UInt8] = []
        do {
            bytes = try input.read(ArchiveHeader.fixedSize)
        } catch {
            throw error.archiveError(.header, needed: UInt64(ArchiveHeader.fixedSize))
        }
        length = try ArchiveHeader.length(in: bytes[...])
        do {
            bytes += try input.read(length - bytes.count)
        } catch {
            throw error.archiveError(.header, needed: UInt64(length))
        }
        let header = try ArchiveHeader(bytes[...])
        _ = try header.text
        return header
    }
}

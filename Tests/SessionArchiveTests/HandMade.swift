@testable import SessionArchive

/// An archive put together from parts that are each good in themselves.
struct HandMade {
    var header = ArchiveHeader(
        blockSize: 65536, chunkSize: 512, originSize: 512 * 1000, metadata: [])
    var sections: [[UInt8]] = []
    /// The sections before which the index begins.
    var blockSections = 0
    var footer = ArchiveFooter()

    /// A section that is stored as it is.
    static func section(
        _ tag: SectionTag, _ contents: [UInt8], number: UInt64 = 0, isOptional: Bool = false,
        change: (inout SectionHeader) -> Void = { _ in }
    ) -> [UInt8] {
        let checksum = CRC32.of(contents[...])
        var header = SectionHeader(
            tag: tag, method: .stored, number: number, contentsLength: contents.count,
            payloadLength: contents.count, contentsChecksum: checksum,
            payloadChecksum: checksum)
        header.isOptional = isOptional
        change(&header)
        return header.encoded + contents
    }

    /// A section of zeros without a payload.
    static func zeros(
        _ tag: SectionTag, _ length: Int, number: UInt64 = 0,
        change: (inout SectionHeader) -> Void = { _ in }
    ) -> [UInt8] {
        var header = SectionHeader(
            tag: tag, method: .zeros, number: number, contentsLength: length, payloadLength: 0,
            contentsChecksum: CRC32.of([UInt8](repeating: 0, count: length)[...]),
            payloadChecksum: CRC32.empty)
        change(&header)
        return header.encoded
    }

    /// The contents of a RUNS section.
    static func runs(_ numbers: UInt64...) -> [UInt8] {
        var bytes: [UInt8] = []
        for number in numbers { Varint.append(number, to: &bytes) }
        return bytes
    }

    /// The record of a block that begins at an offset.
    static func record(_ section: [UInt8], at offset: Int) throws -> [UInt8] {
        let header = try SectionHeader(
            section.prefix(SectionHeader.size), blockSize: 1 << 24)
        return BlockRecord(header, at: UInt64(offset)).encoded
    }

    /// One block of one chunk of ones, and the index that goes with it.
    static func oneChunk() throws -> HandMade {
        var archive = HandMade()
        let block = section(.block, [UInt8](repeating: 1, count: 512))
        archive.sections = [
            block, section(.runs, runs(7, 0)),
            section(.blocks, try record(block, at: archive.header.encoded.count)),
        ]
        archive.blockSections = 1
        archive.footer.dataChunks = 1
        archive.footer.blocks = 1
        archive.footer.runSections = 1
        archive.footer.blockSections = 1
        return archive
    }

    /// All bytes, with offsets and checksums in the footer that go with them.
    var bytes: [UInt8] {
        var bytes = header.encoded
        var footer = footer
        for (number, section) in sections.enumerated() {
            if number == blockSections { footer.indexOffset = UInt64(bytes.count) }
            bytes += section
        }
        if sections.count <= blockSections { footer.indexOffset = UInt64(bytes.count) }
        footer.archiveLength = UInt64(bytes.count + ArchiveFooter.size)
        footer.archiveChecksum = CRC32.of(bytes[...])
        return bytes + footer.encoded
    }
}

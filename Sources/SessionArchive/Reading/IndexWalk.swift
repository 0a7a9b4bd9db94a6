internal import Block
internal import ExceptionStore

/// A walk through the sections between an archive's blocks and its footer.
struct IndexWalk {
    let header: ArchiveHeader
    let footer: ArchiveFooter
    let chunkSize: ChunkSize

    init(header: ArchiveHeader, footer: ArchiveFooter, chunkSize: ChunkSize) {
        self.header = header
        self.footer = footer
        self.chunkSize = chunkSize
    }

    init(_ ends: ArchiveEnds) {
        self.init(header: ends.header, footer: ends.footer, chunkSize: ends.chunkSize)
    }

    /// Checks all sections, and visits what they say.
    ///
    /// Memory is one section's, of what it really has.
    func run(
        _ archive: borrowing OwnedDescriptor,
        visitBlocks: (ArraySlice<UInt8>) throws(ArchiveFault) -> Void,
        visitRun: (ArchiveRun) -> Void
    ) throws(ArchiveError) {
        let loader = try BlockLoader(blockSize: Int(header.blockSize))
        var contents: [UInt8] = []
        var checker = IndexChecker(header: header, footer: footer, chunkSize: chunkSize)
        let end = footer.archiveLength - UInt64(ArchiveFooter.size)
        var offset = footer.indexOffset
        while offset < end {
            do throws(BlockLoader.Failure) {
                let (section, _) = try loader.header(in: archive, at: offset)
                let next = offset + UInt64(SectionHeader.size) + UInt64(section.payloadLength)
                guard next <= end else { throw .fault(.length) }
                // Zeros are no index, but may be in a section that is skipped.
                let slot = 0..<(section.method == .zeros ? 0 : Int(section.contentsLength))
                contents.lengthen(to: slot.upperBound, atMost: Int(header.blockSize))
                if section.method == .zeros {
                    try loader.checkZeros(section)
                } else {
                    _ = try contents.fill(slot) { bytes throws(BlockLoader.Failure) in
                        try loader.load(section, in: archive, at: offset, into: &bytes)
                    }
                }
                do throws(ArchiveFault) {
                    let kind = try checker.check(section, contents[slot], visit: visitRun)
                    if kind == .blocks { try visitBlocks(contents[slot]) }
                } catch {
                    throw .fault(error)
                }
                offset = next
            } catch {
                throw error.archiveError(.index, needed: end)
            }
        }
        do {
            try checker.finish(footer)
        } catch {
            throw .damaged(.index, error)
        }
    }
}

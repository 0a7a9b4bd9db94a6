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

    /// Checks all sections, and visits what those of one kind say.
    ///
    /// Memory is one section's. The runs are checked in any case.
    func run(
        _ archive: borrowing OwnedDescriptor, wanted: SectionTag,
        visitBlocks: (ArraySlice<UInt8>) throws(ArchiveFault) -> Void,
        visitRun: (ArchiveRun) -> Void
    ) throws(ArchiveError) {
        let loader = try BlockLoader(blockSize: Int(header.blockSize))
        var contents = [UInt8](repeating: 0, count: Int(header.blockSize))
        var checker = IndexChecker(header: header, footer: footer, chunkSize: chunkSize)
        let end = footer.archiveLength - UInt64(ArchiveFooter.size)
        var offset = footer.indexOffset
        while offset < end {
            do throws(BlockLoader.Failure) {
                let (section, _) = try loader.header(in: archive, at: offset)
                let next = offset + UInt64(SectionHeader.size) + UInt64(section.payloadLength)
                guard next <= end else { throw .fault(.length) }
                let slot = 0..<Int(section.contentsLength)
                _ = try contents.fill(slot) { bytes throws(BlockLoader.Failure) in
                    try loader.load(section, in: archive, at: offset, into: &bytes)
                }
                do throws(ArchiveFault) {
                    let kind = try checker.check(section, contents[slot]) { run in
                        if wanted == .runs { visitRun(run) }
                    }
                    if kind == .blocks, wanted == .blocks { try visitBlocks(contents[slot]) }
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

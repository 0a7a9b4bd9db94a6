/// Gathers an archive's index while its blocks are written.
///
/// Runs are sealed as soon as there is a piece of them, so that what is kept is compressed: about
/// one to two bytes an exception where chunks are scattered, and nothing where they are in rows.
struct IndexBuilder {
    private(set) var footer = ArchiveFooter()
    private var runs = RunEncoder()
    private var records: [UInt8] = []
    private var sections: [Piece] = []

    private struct Piece {
        var bytes: [UInt8]
        var payloadChecksum: UInt32
    }

    /// Adds the next chunk.
    mutating func add(_ originChunk: UInt64, isZero: Bool, _ workspace: Workspace) {
        runs.append(originChunk, isZero: isZero)
        if isZero {
            footer.zeroChunks += 1
        } else {
            footer.dataChunks += 1
        }
        if runs.isFull { sealRuns(workspace) }
    }

    /// Adds the next block.
    mutating func add(_ block: SectionHeader, at offset: UInt64) {
        records += BlockRecord(block, at: offset).encoded
        footer.blocks += 1
    }

    /// Writes the index and the footer.
    mutating func finish(
        into sink: inout ArchiveSink, _ workspace: Workspace
    ) throws(ArchiveError) {
        if !runs.isEmpty { sealRuns(workspace) }
        footer.indexOffset = sink.offset
        for section in sections {
            try sink.write(section.bytes[...], payloadChecksum: section.payloadChecksum)
        }
        let most = ArchiveFormat.indexPiece / BlockRecord.size * BlockRecord.size
        for start in stride(from: 0, to: records.count, by: most) {
            let piece = seal(
                .blocks, UInt64(footer.blockSections),
                records[start..<min(start + most, records.count)], workspace)
            try sink.write(piece.bytes[...], payloadChecksum: piece.payloadChecksum)
            footer.blockSections += 1
        }
        footer.archiveLength = sink.offset + UInt64(ArchiveFooter.size)
        footer.archiveChecksum = sink.checksum
        try sink.write(footer.encoded[...])
    }

    private mutating func sealRuns(_ workspace: Workspace) {
        let contents = runs.take()
        sections.append(seal(.runs, UInt64(footer.runSections), contents[...], workspace))
        footer.runSections += 1
    }

    private func seal(
        _ tag: SectionTag, _ number: UInt64, _ contents: ArraySlice<UInt8>,
        _ workspace: Workspace
    ) -> Piece {
        let start = Workspace.headroom
        workspace.contents.replaceSubrange(start..<start + contents.count, with: contents)
        let sealed = SectionSealer.seal(
            tag, number: number, length: contents.count, in: workspace)
        return Piece(
            bytes: [UInt8](workspace.finish(sealed)),
            payloadChecksum: sealed.header.payloadChecksum)
    }
}

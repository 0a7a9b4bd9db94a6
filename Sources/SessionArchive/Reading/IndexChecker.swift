internal import Block
internal import ExceptionStore

/// What has to hold of an index's sections, wherever they are read from.
struct IndexChecker {
    private var runs: RunDecoder
    private(set) var runSections: UInt64 = 0
    private(set) var blockSections: UInt64 = 0

    /// - Parameter footer: What the index has to agree with; nil where it isn't known yet.
    init(header: ArchiveHeader, footer: ArchiveFooter?, chunkSize: ChunkSize) {
        runs = RunDecoder(
            originChunks: chunkSize.chunks(covering: ByteCount(header.originSize)),
            dataChunks: footer?.dataChunks ?? .max, zeroChunks: footer?.zeroChunks ?? .max)
    }

    /// Checks the next section and visits its runs, if it has any.
    ///
    /// - Returns: The section's tag; nil for one that may be skipped.
    mutating func check(
        _ section: SectionHeader, _ contents: ArraySlice<UInt8>, visit: (ArchiveRun) -> Void
    ) throws(ArchiveFault) -> SectionTag? {
        switch section.tag {
        case .runs, .blocks:
            // A few bytes of such sections would be work without end.
            guard section.method != .zeros else { throw .compression }
        default:
            guard section.isOptional else { throw .unknownSection(section.tag.description) }
            return nil
        }
        if section.tag == .runs {
            guard section.number == runSections else { throw .contradiction }
            runSections += 1
            if let fault = runs.decode(contents.span, visit: visit) { throw fault }
        } else {
            guard section.number == blockSections else { throw .contradiction }
            blockSections += 1
        }
        return section.tag
    }

    /// Checks the sums against the footer.
    func finish(_ footer: ArchiveFooter) throws(ArchiveFault) {
        guard runs.dataChunks == footer.dataChunks, runs.zeroChunks == footer.zeroChunks else {
            throw .runs
        }
        guard runSections == UInt64(footer.runSections),
            blockSections == UInt64(footer.blockSections)
        else { throw .contradiction }
    }
}

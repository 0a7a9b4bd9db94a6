public import Block

/// How much an archive holds, and how large it is.
public struct ArchiveSummary: Hashable, Sendable {
    /// The exceptions whose contents are not zeros.
    public let dataChunks: UInt64
    /// The exceptions whose contents are zeros.
    public let zeroChunks: UInt64
    /// The blocks that the data is in.
    public let blocks: UInt64
    /// The size of the archive.
    public let size: ByteCount

    init(_ footer: ArchiveFooter) {
        dataChunks = footer.dataChunks
        zeroChunks = footer.zeroChunks
        blocks = footer.blocks
        size = ByteCount(footer.archiveLength)
    }
}

public import Block
public import ExceptionStore
public import SystemPackage

/// What an archive says of itself, without its index and its blocks.
public struct ArchiveInformation: Sendable {
    /// What was given to the writer.
    public let metadata: String
    /// The size of the chunks.
    public let chunkSize: ChunkSize
    /// The size of the origin.
    public let originSize: ByteCount
    /// How much the archive holds, and how large it is.
    public let summary: ArchiveSummary

    /// Reads an archive's two ends, in memory that doesn't depend on what they say.
    ///
    /// - Throws: `system` where reading failed, otherwise what is wrong with the archive.
    public init(path: FilePath) throws(ArchiveError) {
        let ends = try ArchiveEnds(ArchiveFile.open(path))
        metadata = try ends.header.text
        chunkSize = ends.chunkSize
        originSize = ByteCount(ends.header.originSize)
        summary = ArchiveSummary(ends.footer)
    }
}

public import Block
public import ExceptionStore

/// Why an archive could not be written or is refused.
public enum ArchiveError: Error, Sendable {
    /// The operating system failed an operation on the archive.
    case system(SystemError)
    /// The source can't give the contents of these chunks of the origin.
    case source(ChunkList, ChunkReadError)
    /// What was written is not what the source has now; these chunks of the origin differ.
    case readBackDiffers(ChunkList)
    /// The metadata to be written has this many bytes, more than an archive takes.
    case metadataTooLong(bytes: Int)
    /// Something else is in the place of an archive's file; what, with its article.
    case notAFile(String)
    /// The file doesn't begin as archives do.
    case notAnArchive
    /// A version of the format other than 1.
    case unsupportedVersion(UInt32)
    /// The archive needs features that this reader doesn't have; a set of bits.
    case unsupportedFeatures(UInt32)
    /// The archive ends, at `size` bytes, before something of which the last byte is `needed - 1`.
    case truncated(needed: ByteCount, size: ByteCount)
    /// A part other than a block is not what was written.
    case damaged(ArchivePart, ArchiveFault)
    /// A block is not what was written.
    case damagedBlock(DamagedBlock)
    /// The archive's tables would take more memory than the reader was allowed.
    case tooLarge(needed: ByteCount, limit: ByteCount)
    /// There is no memory for a compressor or a decompressor.
    case noMemory
    /// The caller asked to stop; `done` of `total` bytes of the phase were done.
    case cancelled(ArchivePhase, done: UInt64, total: UInt64)
}

/// A part of an archive that is not a block.
public enum ArchivePart: Hashable, Sendable {
    /// What it begins with.
    case header
    /// What it ends with.
    case footer
    /// The sections that say which chunks there are and where blocks are.
    case index
    /// Bytes that no other checksum covers; or the order of the parts.
    case whole
}

/// What is wrong with a part of an archive.
public enum ArchiveFault: Error, Hashable, Sendable {
    /// It isn't there.
    case missing
    /// The bytes are not those that the checksum was made of.
    case checksum
    /// The compressed bytes are not those that the checksum was made of.
    case payloadChecksum
    /// What was decompressed is not what the checksum was made of.
    case contentsChecksum
    /// The compressed bytes can't be decompressed to the length that they should have.
    case compression
    /// A length can't be right.
    case length
    /// A number has a value that it can't have.
    case number
    /// The chunks don't ascend, lie outside the origin, or are not as many as there should be.
    case runs
    /// Blocks overlap, lie outside the archive, or are not as many as there should be.
    case blocks
    /// It has a section with this tag, which this reader doesn't know and must not skip.
    case unknownSection(String)
    /// It is good in itself, but not what another part says should be there.
    case contradiction
}

/// A block of an archive that is not what was written.
public struct DamagedBlock: LocatedDamage, Hashable, Sendable {
    /// The block's number, counted from 0.
    public let number: UInt64
    /// The block's bytes in the archive.
    public let bytes: Range<UInt64>
    /// The bytes of the source that were in it.
    public let storedBytes: Range<UInt64>
    /// The chunks of the origin whose old contents were in it.
    public let chunks: ChunkList
    /// What is wrong with it.
    public let fault: ArchiveFault
}

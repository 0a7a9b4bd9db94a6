internal import Block
internal import ExceptionStore

extension ArchiveError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .system(let error):
            "\(error)"
        case .source(let chunks, let error):
            "the contents of \(chunks) can't be read: \(error)"
        case .readBackDiffers(let chunks):
            "what was written for \(chunks) is not what the source has"
        case .metadataTooLong(let bytes):
            "\(bytes) bytes of metadata are more than an archive takes"
        case .notAFile(let kind):
            "not a file, but \(kind)"
        case .notAnArchive:
            "not an archive: it doesn't begin as one"
        case .unsupportedVersion(let version):
            "the archive has format version \(version); only 1 is known"
        case .unsupportedFeatures(let features):
            "the archive needs features that are not known (0x\(String(features, radix: 16)))"
        case .truncated(let needed, let size):
            "the archive is cut short: it has \(size.bytes) bytes and needs \(needed.bytes)"
        case .damaged(let part, let fault):
            "\(part): \(fault)"
        case .damagedBlock(let block):
            "\(block)"
        case .tooLarge(let needed, let limit):
            """
            the archive's tables take \(needed.formatted) of memory; \
            at most \(limit.formatted) may be taken
            """
        case .noMemory:
            "there is no memory to compress or decompress"
        case .cancelled(let phase, let done, let total):
            "stopped on request while \(phase): \(done) of \(total) bytes"
        }
    }
}

extension ArchivePart: CustomStringConvertible {
    /// The subject of a sentence.
    public var description: String {
        switch self {
        case .header: "the archive's header"
        case .footer: "the archive's footer"
        case .index: "the archive's index"
        case .whole: "the archive as a whole"
        }
    }
}

extension ArchiveFault: CustomStringConvertible {
    /// What is wrong, in a few words.
    public var description: String {
        switch self {
        case .missing: "is not there"
        case .checksum: "the checksum is wrong"
        case .payloadChecksum: "the checksum of the compressed bytes is wrong"
        case .contentsChecksum: "the checksum of the contents is wrong"
        case .compression: "the compressed bytes can't be decompressed"
        case .length: "a length can't be right"
        case .number: "a number can't be right"
        case .runs: "its chunks can't be right"
        case .blocks: "its blocks can't be right"
        case .unknownSection(let tag): "it has a section that is not known (\(tag))"
        case .contradiction: "it contradicts another part"
        }
    }
}

extension DamagedBlock: CustomStringConvertible {
    /// Which block, what is wrong, and which chunks that concerns.
    public var description: String {
        """
        block \(number) (bytes \(bytes.lowerBound)–\(bytes.upperBound - 1) of the archive): \
        \(fault); it has \(chunks)
        """
    }
}

/// The numbers of docs/archive-format.md.
enum ArchiveFormat {
    /// Not text, not UTF-8, and changed by everything that converts line ends.
    static let magic: [UInt8] = [0x89, 0x44, 0x4d, 0x53, 0x5a, 0x0d, 0x0a, 0x1a]
    static let version: UInt32 = 1
    /// The bits of the header's required features that this reader knows: none so far.
    static let knownFeatures: UInt32 = 0

    /// The bounds of the header's block size, powers of two.
    static let blockSizes: ClosedRange<UInt64> = 4096...16 << 20
    static let largestMetadata = 1 << 20
    /// A byte of a DEFLATE stream gives at most so many: 258 for every two bits.
    static let mostInflation: UInt64 = 1032
    /// Room for fields that a later version may put behind the metadata.
    static let largestHeader = largestMetadata + 4096
    /// Where the writer ends a piece of the index.
    static let indexPiece = 64 << 10
}

/// The four letters that a section begins with.
struct SectionTag: Hashable, Sendable {
    var code: UInt32

    init(code: UInt32) {
        self.code = code
    }

    private init(_ letters: StaticString) {
        code = letters.withUTF8Buffer { bytes in
            unsafe bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    /// The letters.
    var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: code >> UInt32(8 * $0)) } }

    /// Contents of chunks.
    static let block = SectionTag("DATA")
    /// Which chunks there are.
    static let runs = SectionTag("RUNS")
    /// Where the blocks are.
    static let blocks = SectionTag("BLKS")
    /// Not a section, but what ends the file.
    static let footer = SectionTag("FOOT")
}

extension SectionTag: CustomStringConvertible {
    var description: String {
        guard bytes.allSatisfy({ (0x20..<0x7f).contains($0) }) else {
            return "0x" + String(code, radix: 16)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

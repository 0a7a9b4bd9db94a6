public import Block

/// What is wrong with a chunk size.
public enum ChunkSizeFault: Hashable, Sendable {
    /// The text doesn't start with a decimal number.
    case noNumber(text: String)
    /// The text has a unit that is not one of ours.
    case unknownUnit(String, text: String)
    /// No whole number of 512-byte sectors.
    case notWholeSectors(ByteCount)
    /// The kernel refuses 0 on disk.
    case zero
    /// The kernel refuses numbers that are no power of two.
    case notPowerOfTwo(SectorCount)
    /// More than 2²¹ sectors.
    case tooLarge
}

extension ChunkSizeFault: CustomStringConvertible {
    /// One line for a person, with what would be right.
    public var description: String {
        switch self {
        case .noNumber(let text):
            "chunk size '\(text)': not a number; write, for example, 16K"
        case .unknownUnit(let unit, let text):
            "chunk size '\(text)': unknown unit '\(unit)'; use s (sectors), B, K, M or G"
        case .notWholeSectors(let count):
            "a chunk of \(count.bytes) bytes: not a multiple of 512"
        case .zero:
            "a chunk of 0 sectors: the smallest is 1 sector (512 bytes)"
        case .notPowerOfTwo(let count):
            "a chunk of \(count.sectors) sectors: not a power of two"
        case .tooLarge:
            "the largest chunk is 1 GiB (2097152 sectors)"
        }
    }
}

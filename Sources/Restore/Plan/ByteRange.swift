internal import Block

/// A range of bytes on the origin, for reports and messages.
public struct ByteRange: Hashable, Sendable {
    /// The bytes' offsets.
    public let bytes: Range<UInt64>

    /// The range of these offsets.
    public init(_ bytes: Range<UInt64>) {
        self.bytes = bytes
    }

    /// The 512-byte sectors that the bytes touch; nil for an empty range.
    public var sectors: ClosedRange<UInt64>? {
        guard !bytes.isEmpty else { return nil }
        return bytes.lowerBound / SectorCount.size...(bytes.upperBound - 1) / SectorCount.size
    }
}

extension ByteRange: CustomStringConvertible {
    /// First and last sector, and the bytes.
    public var description: String {
        guard let sectors else { return "no bytes at \(bytes.lowerBound)" }
        return """
            sectors \(sectors.lowerBound)–\(sectors.upperBound) \
            (bytes \(bytes.lowerBound)–\(bytes.upperBound - 1))
            """
    }
}

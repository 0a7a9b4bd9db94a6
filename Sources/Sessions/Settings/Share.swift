public import Block

/// A part of something, as a setting gives it: `"10G"`, or `"5%"` of the whole.
public enum Share: Hashable, Sendable {
    /// So many bytes.
    case bytes(ByteCount)
    /// So many hundredths, 0 to 100.
    case percent(UInt64)

    /// Reads digits with a unit: `%`, or K, M, G, T for powers of 1024.
    ///
    /// - Returns: nil for anything else, more than 100 %, and more than 2⁶⁴ − 1 bytes.
    public init?(parsing text: String) {
        guard let unit = text.last, let number = UInt64(text.dropLast()),
            text.first != "+"
        else { return nil }
        if unit == "%" {
            guard number <= 100 else { return nil }
            self = .percent(number)
            return
        }
        guard let shift = ["K": 10, "M": 20, "G": 30, "T": 40][unit], number <= .max >> shift
        else { return nil }
        self = .bytes(ByteCount(number << shift))
    }

    /// Of something that has so many bytes.
    public func of(_ whole: ByteCount) -> ByteCount {
        switch self {
        case .bytes(let bytes): bytes
        // In this order, since a hundred times as many may be more than there are numbers for.
        case .percent(let percent):
            ByteCount(whole.bytes / 100 * percent + whole.bytes % 100 * percent / 100)
        }
    }
}

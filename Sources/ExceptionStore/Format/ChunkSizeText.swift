internal import Block

extension ChunkSize {
    /// Reads a size as people write it: `4K`, `64KiB`, `1M`, `4096B`, `8s`.
    ///
    /// A number alone counts sectors, as in a device-mapper table: `16` is 8 KiB. K, M and G are
    /// powers of 1024, with or without `iB`, in either case; powers of 1000 (`kB`) are refused,
    /// for they are never a chunk size.
    ///
    /// - Throws: `chunkSize`, with what was wrong.
    public init(parsing text: String) throws(ExceptionStoreError) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty else { throw .chunkSize(.noNumber(text: text)) }
        let unit = text.dropFirst(digits.count)
        guard let bytesPerUnit = Self.bytesPerUnit(unit.lowercased()) else {
            throw .chunkSize(.unknownUnit(String(unit), text: text))
        }
        guard let number = UInt64(digits) else { throw .chunkSize(.tooLarge) }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: bytesPerUnit)
        guard !overflow else { throw .chunkSize(.tooLarge) }
        try self.init(ByteCount(bytes))
    }

    private static func bytesPerUnit(_ unit: String) -> UInt64? {
        switch unit {
        case "", "s": SectorCount.size
        case "b": 1
        case "k", "kib": 1 << 10
        case "m", "mib": 1 << 20
        case "g", "gib": 1 << 30
        default: nil
        }
    }
}

extension ChunkSize: CustomStringConvertible {
    /// The size in the largest unit that leaves it whole: `512B`, `4K`, `1G`.
    ///
    /// `init(parsing:)` reads it back.
    public var description: String {
        switch byteShift {
        case ..<10: "\(bytes.bytes)B"
        case ..<20: "\(bytes.bytes >> 10)K"
        case ..<30: "\(bytes.bytes >> 20)M"
        default: "\(bytes.bytes >> 30)G"
        }
    }
}

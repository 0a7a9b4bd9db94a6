/// A number of bytes.
public struct ByteCount: Hashable, Comparable, Sendable, Codable {
    /// The number.
    public var bytes: UInt64

    /// That many bytes.
    public init(_ bytes: UInt64) {
        self.bytes = bytes
    }

    /// From a plain number.
    public init(from decoder: any Decoder) throws {
        bytes = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// As a plain number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(bytes)
    }

    /// The order of the numbers.
    public static func < (left: ByteCount, right: ByteCount) -> Bool {
        left.bytes < right.bytes
    }
}

/// A number of 512-byte sectors, the unit of device-mapper tables whatever the device's own sector.
public struct SectorCount: Hashable, Comparable, Sendable, Codable {
    /// Bytes in a sector.
    public static let size: UInt64 = 512

    /// The number.
    public var sectors: UInt64

    /// That many sectors.
    public init(_ sectors: UInt64) {
        self.sectors = sectors
    }

    /// The whole sectors in `bytes`; nil if there is a part of one left.
    public init?(exactly bytes: ByteCount) {
        guard bytes.bytes.isMultiple(of: Self.size) else { return nil }
        sectors = bytes.bytes / Self.size
    }

    /// The same length in bytes; nil if that is more than 64 bits hold.
    public var bytes: ByteCount? {
        let (product, overflow) = sectors.multipliedReportingOverflow(by: Self.size)
        return overflow ? nil : ByteCount(product)
    }

    /// The order of the numbers.
    public static func < (left: SectorCount, right: SectorCount) -> Bool {
        left.sectors < right.sectors
    }
}

extension ByteCount {
    /// Without what makes no whole sector: as much of a file as a loop device over it has.
    public var inWholeSectors: ByteCount { ByteCount(bytes / SectorCount.size * SectorCount.size) }

    /// For people, in the largest binary unit that leaves at least one: `4 KiB`, `1.5 GiB`.
    public var formatted: String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        guard bytes >= 1024 else { return "\(bytes) B" }
        var value = Double(bytes) / 1024
        var unit = 0
        while value >= 1024, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        let tenths = (value * 10).rounded() / 10
        let whole = tenths == tenths.rounded() || tenths >= 100
        return (whole ? "\(UInt64(tenths.rounded()))" : "\(tenths)") + " " + units[unit]
    }
}

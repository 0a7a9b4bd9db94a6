/// An amount of memory or of disk space.
public struct Size: Sendable, Hashable {
    /// The amount in bytes.
    public var bytes: Int64

    /// An amount of that many bytes.
    public init(bytes: Int64) {
        self.bytes = bytes
    }

    /// An amount in MiB.
    public static func mebibytes(_ count: Int64) -> Size { Size(bytes: count << 20) }

    /// An amount in GiB.
    public static func gibibytes(_ count: Int64) -> Size { Size(bytes: count << 30) }

    /// Reads a number with an optional suffix K, M, G or T (powers of 1024), as in `512M`.
    public init?(_ text: String) {
        let shift: Int64? =
            switch text.last {
            case "K", "k": 10
            case "M", "m": 20
            case "G", "g": 30
            case "T", "t": 40
            default: nil
            }
        let digits = shift == nil ? text[...] : text.dropLast()
        guard let count = Int64(digits), count > 0 else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << (shift ?? 0))
        guard !overflow else { return nil }
        self.bytes = bytes
    }
}

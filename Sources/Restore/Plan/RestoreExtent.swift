/// Bytes to be put back that one read gets: in a row on the origin, and in a row in their source.
public struct RestoreExtent: Hashable, Sendable {
    /// Where on the origin the bytes belong.
    public let originOffset: UInt64
    /// How many bytes; never 0, and never past the origin's end.
    public let length: UInt64
    /// The source's index in the plan, 0 being the oldest.
    public let source: Int
    /// Where the bytes are in the source's space of stored chunks.
    public let storedOffset: UInt64

    /// The first byte on the origin after the extent.
    public var originEnd: UInt64 { originOffset + length }

    /// The extent as a range on the origin.
    public var range: ByteRange { ByteRange(originOffset..<originEnd) }

    func isContinued(by next: RestoreExtent) -> Bool {
        source == next.source && originEnd == next.originOffset
            && storedOffset + length == next.storedOffset
    }

    func joined(with next: RestoreExtent) -> RestoreExtent {
        RestoreExtent(
            originOffset: originOffset, length: length + next.length, source: source,
            storedOffset: storedOffset)
    }

    /// The `length` bytes that come after the first `skipped`.
    func part(after skipped: UInt64, length: UInt64) -> RestoreExtent {
        RestoreExtent(
            originOffset: originOffset + skipped, length: length, source: source,
            storedOffset: storedOffset + skipped)
    }
}

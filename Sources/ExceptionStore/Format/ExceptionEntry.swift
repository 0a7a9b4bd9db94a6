/// One exception: a chunk of the origin, and the chunk that keeps its old contents.
///
/// On disk it is the kernel's `struct disk_exception` (dm-snap-persistent.c): two little-endian
/// 64-bit numbers, the old chunk first.
public struct ExceptionEntry: Hashable, Sendable {
    /// The size on disk, in bytes.
    public static let size = 16

    /// The chunk's number in the origin (the kernel's *old chunk*).
    public var originChunk: UInt64
    /// The number of the chunk with its old contents (the kernel's *new chunk*).
    ///
    /// In a store it counts from the store's start; in another form of the same data from
    /// wherever that form's chunks start.
    public var storedChunk: UInt64

    /// An entry with these two chunks, unchecked.
    public init(originChunk: UInt64, storedChunk: UInt64) {
        self.originChunk = originChunk
        self.storedChunk = storedChunk
    }

    /// Whether the entry is the end of the list: new chunk 0 would be the header.
    public var endsList: Bool { storedChunk == 0 }
}

extension ExceptionEntry {
    /// Reads 16 bytes at `offset`; nil where they don't lie wholly inside `bytes`.
    public init?(reading bytes: Span<UInt8>, at offset: Int) {
        guard let old = LittleEndian.read(UInt64.self, from: bytes, at: offset),
            let new = LittleEndian.read(UInt64.self, from: bytes, at: offset + 8)
        else { return nil }
        self.init(originChunk: old, storedChunk: new)
    }

    /// Writes 16 bytes at `offset`; false, and nothing is written, where they don't fit.
    public func write(into bytes: inout MutableSpan<UInt8>, at offset: Int) -> Bool {
        guard offset >= 0, offset <= bytes.count - Self.size else { return false }
        return LittleEndian.write(originChunk, into: &bytes, at: offset)
            && LittleEndian.write(storedChunk, into: &bytes, at: offset + 8)
    }
}

extension ExceptionEntry: CustomStringConvertible {
    /// Old and new chunk.
    public var description: String { "\(originChunk) → \(storedChunk)" }
}

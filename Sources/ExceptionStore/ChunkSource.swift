public import Block
public import SystemPackage

/// Old contents of an origin's chunks, in whatever form they are kept.
///
/// The boundary between reading a session and applying it. A source has a space of stored chunks,
/// numbered by its `exceptions`: stored chunk n is the bytes from n × chunk size on. In a closed
/// store that is the file itself; a compressed form lays its chunks out one after another as they
/// would be without compression. Where chunks follow each other both in the origin and in that
/// space, one read gets them.
public protocol ChunkSource: Sendable {
    /// The file or device, for messages.
    var path: FilePath { get }

    /// Which chunks there are, and where.
    var exceptions: ExceptionTable { get }

    /// Fills the buffer with the bytes from `storedOffset` on.
    ///
    /// Reads come with ascending offsets for the most part, are not bound to chunks' borders, and
    /// touch only stored chunks that `exceptions` names. Reading the same bytes again must give
    /// the same or an error.
    ///
    /// - Parameters:
    ///   - buffer: To be filled wholly; after an error its contents mean nothing.
    ///   - storedOffset: In bytes, in the space of stored chunks.
    /// - Throws: `ChunkReadError`.
    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError)

    /// The file that has every stored chunk as it is, at its stored offset, so that many can be read
    /// at a time; -1 where they can only be read through `read`.
    var plainDescriptor: Int32 { get }

    /// All files that `read` reads, which are open as long as the source is.
    var descriptors: [Int32] { get }

    /// Says that these bytes will be read soon, so that they can be fetched before; a wish only.
    ///
    /// - Parameter stored: In bytes, in the space of stored chunks. Others than stored chunks may
    ///   be among them.
    func prefetch(_ stored: Range<UInt64>)
}

extension ChunkSource {
    /// None.
    public var plainDescriptor: Int32 { -1 }

    /// The plain one.
    public var descriptors: [Int32] { plainDescriptor < 0 ? [] : [plainDescriptor] }

    /// Fetches nothing before it is read.
    public func prefetch(_ stored: Range<UInt64>) {}

    /// The size of the source's chunks.
    public var chunkSize: ChunkSize { exceptions.chunkSize }

    /// The size in bytes of the origin that the source is about.
    public var originSize: ByteCount { exceptions.originSize }
}

/// Why a source could not give the bytes asked for.
public enum ChunkReadError: Error, Sendable {
    /// The operating system failed the read.
    case system(SystemError)
    /// The file ends at or before `size` bytes, inside the data.
    case ended(size: ByteCount)
    /// The data is not what was once written; the cause is the form's own error.
    case damaged(any Error)
}

/// A form's own error that knows which of the source's bytes are lost, so that nobody has to try.
public protocol LocatedDamage: Error {
    /// In the space of stored chunks; where it begins and ends is no chunk's border necessarily.
    var storedBytes: Range<UInt64> { get }
}

extension ChunkReadError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .system(let error): "\(error)"
        case .ended(let size): "the file ends at \(size.bytes) bytes, inside the data"
        case .damaged(let cause): "damaged data: \(cause)"
        }
    }
}

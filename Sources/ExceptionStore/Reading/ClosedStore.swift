public import Block
public import SystemPackage

/// A store whose table is gone, open for reading; or the part of one in use that is not going to change.
///
/// While a table uses a store the kernel keeps exceptions in memory, and the page cache of the
/// device is not that of the file under it. So of a store in use only those exceptions mean anything that
/// the kernel had committed when the origin was suspended, and they are read from its file.
public final class ClosedStore: ChunkSource {
    /// What the store holds.
    public let contents: StoreContents
    private let descriptor: OwnedDescriptor

    /// Reads and checks all of the store's metadata.
    ///
    /// - Parameters:
    ///   - descriptor: The store, readable.
    ///   - originSize: The origin's size in bytes.
    ///   - chunkSize: What the store was made with, if that is known.
    ///   - count: Only the first so many exceptions.
    /// - Throws: `system` where reading failed, otherwise what is wrong with the store.
    public init(
        _ descriptor: consuming OwnedDescriptor, originSize: ByteCount,
        expecting chunkSize: ChunkSize?, first count: UInt64? = nil
    ) throws(ExceptionStoreError) {
        self.contents = try StoreContents.read(
            descriptor, originSize: originSize, expecting: chunkSize, first: count)
        self.descriptor = descriptor
    }

    /// Opens a store's file, and reads and checks all of its metadata.
    ///
    /// - Parameters:
    ///   - path: The file; a device has to be opened by the caller.
    ///   - originSize: The origin's size in bytes.
    ///   - chunkSize: What the store was made with, if that is known.
    ///   - count: Only the first so many exceptions.
    /// - Throws: `system` where opening or reading failed, `notAFile`, otherwise what is wrong with
    ///   the store.
    public convenience init(
        path: FilePath, originSize: ByteCount, expecting chunkSize: ChunkSize?,
        first count: UInt64? = nil
    ) throws(ExceptionStoreError) {
        let descriptor: OwnedDescriptor
        do {
            descriptor = try PlainFile.open(path)
        } catch {
            switch error {
            case .system(let error): throw .system(error)
            case .notPlain(let kind): throw .notAFile(kind)
            }
        }
        try self.init(
            descriptor, originSize: originSize, expecting: chunkSize, first: count)
    }

    /// The store's file or device.
    public var path: FilePath { descriptor.path }

    /// The store's exceptions.
    public var exceptions: ExceptionTable { contents.exceptions }

    /// The store's own file.
    public var plainDescriptor: Int32 { descriptor.descriptor.rawValue }

    /// Fills the buffer with the store's bytes from `storedOffset` on.
    ///
    /// - Throws: `system`, or `ended` where the store has become shorter since it was opened.
    public func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        let wanted = buffer.count
        let got: Int
        do {
            got = try descriptor.read(into: &buffer, at: storedOffset)
        } catch {
            throw .system(error)
        }
        guard got == wanted else { throw .ended(size: ByteCount(storedOffset &+ UInt64(got))) }
    }

    /// Has the kernel read the range into the page cache, as far as it likes to.
    public func prefetch(_ stored: Range<UInt64>) {
        descriptor.prefetch(stored)
    }
}

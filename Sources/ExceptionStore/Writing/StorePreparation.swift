public import Block

/// What has to be done to a store before a table is loaded on it.
public enum StorePreparation {
    /// Empties chunks 0 and 1, and waits until they are on stable storage.
    ///
    /// The kernel initialises a store whose magic number is 0 by writing the header and then
    /// zeroing area 0, **without a flush between or after**: a power cut there can leave a good
    /// header over rubbish that reads as entries. Later areas the kernel zeroes itself, in order.
    ///
    /// - Throws: `storeTooSmall`, `system`.
    public static func prepareFresh(
        _ store: borrowing OwnedDescriptor, chunkSize: ChunkSize
    ) throws(ExceptionStoreError) {
        let size: ByteCount
        do {
            size = try store.size()
        } catch {
            throw .system(error)
        }
        guard chunkSize.wholeChunks(in: size) >= StoreGeometry.fewestChunks else {
            throw .storeTooSmall(
                size: size, needed: ByteCount(StoreGeometry.fewestChunks * chunkSize.bytes.bytes))
        }
        try store.zero(0..<2 * chunkSize.bytes.bytes)
        try synchronize(store)
    }

    /// Empties what is behind the end of the list in the area where the list ends.
    ///
    /// Entries there would come back to life when the kernel fills the gap before them, so this
    /// is for every store that has been through a crash, before a table is loaded on it again.
    ///
    /// - Parameters:
    ///   - store: The store, writable.
    ///   - contents: What was just read from the same store.
    /// - Returns: Whether there was anything to clear.
    /// - Throws: `system`.
    @discardableResult
    public static func clearStaleTail(
        _ store: borrowing OwnedDescriptor, contents: StoreContents
    ) throws(ExceptionStoreError) -> Bool {
        guard contents.hasStaleTail else { return false }
        try store.zero(contents.tail)
        try synchronize(store)
        return true
    }

    private static func synchronize(
        _ store: borrowing OwnedDescriptor
    ) throws(ExceptionStoreError) {
        do {
            try store.synchronize()
        } catch {
            throw .system(error)
        }
    }
}

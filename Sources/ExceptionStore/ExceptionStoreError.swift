public import Block

/// Why a store, or a number that shapes one, is refused.
///
/// All but `system` say that the data, not the machine, is at fault.
public enum ExceptionStoreError: Error, Hashable, Sendable {
    /// The operating system failed an operation on the store.
    case system(SystemError)
    /// No chunk size that the kernel would take.
    case chunkSize(ChunkSizeFault)
    /// The store ends, at `size` bytes, before something of which the last byte is `needed - 1`.
    case truncated(needed: ByteCount, size: ByteCount)
    /// Something else is in the place of a store's file; what, with its article.
    case notAFile(String)
    /// Nothing was ever written to this byte of the store's file, where the kernel has written: the
    /// file was cut short, or put in another's place.
    case hole(at: UInt64, in: StorePart)
    /// Chunk 0 starts with neither the kernel's magic number nor 0.
    case notAStore(magic: UInt32)
    /// The magic number is 0, as in a fresh store, but what follows it is not empty.
    case freshHeaderOverData
    /// The kernel gave the snapshot up: it has missed writes and restores nothing.
    case invalidated(valid: UInt32)
    /// A version of the format other than 1.
    case unknownVersion(UInt32)
    /// The header's chunk size is not the one that the store was made with.
    case chunkSizeDiffers(found: ChunkSize, expected: ChunkSize)
    /// The entries go on in an area that lies outside the store.
    case areaPastEnd(area: UInt64, storeChunks: UInt64)
    /// The entry with this number, counted from 0 over all areas, can't be right.
    case entry(ExceptionEntry, number: UInt64, EntryFault)
    /// Two entries claim to hold this chunk of the origin.
    case duplicateOriginChunk(UInt64)
    /// Two entries claim this chunk of the store.
    case duplicateStoredChunk(UInt64)
    /// More entries than the origin has chunks.
    case tooManyExceptions(limit: UInt64)
    /// A store of `size` bytes can't hold a single exception; `needed` bytes can.
    case storeTooSmall(size: ByteCount, needed: ByteCount)
    /// A size that no file or device can have.
    case sizeOverflow
    /// The store was written while it was being read, so it was not closed.
    case changedWhileReading
    /// What is to be written to a store comes neither behind the rest nor at a chunk's border.
    case outOfOrder(originOffset: UInt64)
    /// Fewer exceptions were written to a store than it was made for.
    case tooFewExceptions(UInt64, wanted: UInt64)
}

/// A part of a store that the kernel writes as a whole.
public enum StorePart: Hashable, Sendable {
    /// The area with this number.
    case area(UInt64)
    /// The chunk with an exception's old contents.
    case contents(of: ExceptionEntry)
}

/// What is wrong with one entry.
public enum EntryFault: Hashable, Sendable {
    /// The old chunk lies behind the origin's end.
    case originChunkPastEnd(originChunks: UInt64)
    /// The new chunk does not lie wholly inside the store.
    case storedChunkPastEnd(storeChunks: UInt64)
    /// The new chunk is the header's or an area's, where no data can be.
    case storedChunkIsMetadata
}

extension ExceptionStoreError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .system(let error):
            "\(error)"
        case .chunkSize(let fault):
            "\(fault)"
        case .truncated(let needed, let size):
            "the store is cut short: it has \(size.bytes) bytes and needs \(needed.bytes)"
        case .notAFile(let kind):
            "not a file, but \(kind)"
        case .hole(let offset, let part):
            """
            \(part) was never written, at byte \(offset) of the store: the file was cut short, or \
            copied with its zeros left out
            """
        case .notAStore(let magic):
            "not an exception store: it starts with 0x\(String(magic, radix: 16))"
        case .freshHeaderOverData:
            "the store's header is empty, but what follows it is not"
        case .invalidated(let valid):
            "the kernel gave this store up (valid = \(valid)): it has missed writes"
        case .unknownVersion(let version):
            "the store has format version \(version); only 1 is known"
        case .chunkSizeDiffers(let found, let expected):
            "the store says that its chunks are \(found); it was made with \(expected)"
        case .areaPastEnd(let area, let storeChunks):
            "entries go on in area \(area), outside the store's \(storeChunks) chunks"
        case .entry(let entry, let number, let fault):
            "entry \(number) (\(entry)): \(fault)"
        case .duplicateOriginChunk(let chunk):
            "two entries are for chunk \(chunk) of the origin"
        case .duplicateStoredChunk(let chunk):
            "two entries have their data in chunk \(chunk) of the store"
        case .tooManyExceptions(let limit):
            "the store has more entries than the origin has chunks (\(limit))"
        case .storeTooSmall(let size, let needed):
            "a store of \(size.bytes) bytes holds nothing; the least is \(needed.bytes)"
        case .sizeOverflow:
            "a size is larger than any file or device can be"
        case .changedWhileReading:
            "the store changed while it was read: it is still in use"
        case .outOfOrder(let offset):
            "what belongs at \(offset) comes out of its order"
        case .tooFewExceptions(let count, let wanted):
            "\(count) exceptions were written, and not \(wanted)"
        }
    }
}

extension StorePart: CustomStringConvertible {
    /// The subject of a sentence.
    public var description: String {
        switch self {
        case .area(let number): "area \(number)"
        case .contents(let entry): "the contents of the exception \(entry)"
        }
    }
}

extension EntryFault: CustomStringConvertible {
    /// The rest of a sentence that begins with the entry.
    public var description: String {
        switch self {
        case .originChunkPastEnd(let chunks): "the origin has only \(chunks) chunks"
        case .storedChunkPastEnd(let chunks): "the store has only \(chunks) whole chunks"
        case .storedChunkIsMetadata: "the store keeps no data there, but metadata"
        }
    }
}

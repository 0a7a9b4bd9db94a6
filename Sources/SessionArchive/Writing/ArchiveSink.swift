internal import Block
internal import Glibc
internal import SystemPackage

/// Where an archive is written to: anything that takes bytes in their order.
struct ArchiveSink {
    private static let flushSize: UInt64 = 8 << 20

    private let descriptor: FileDescriptor
    private let path: FilePath
    /// Where the bytes end of which writing to the medium was begun.
    private var flushed: UInt64 = 0
    /// How many bytes were written.
    private(set) var offset: UInt64 = 0
    /// The CRC-32 of them all.
    private(set) var checksum = CRC32.empty

    init(_ descriptor: FileDescriptor, path: FilePath) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Writes bytes of which the checksum is not known.
    mutating func write(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) {
        try put(bytes)
        add(CRC32.of(bytes), length: bytes.count)
    }

    /// Writes a section: its header and, right behind it, its payload.
    mutating func write(
        _ section: ArraySlice<UInt8>, payloadChecksum: UInt32
    ) throws(ArchiveError) {
        try put(section)
        add(CRC32.of(section.prefix(SectionHeader.size)), length: SectionHeader.size)
        add(payloadChecksum, length: section.count - SectionHeader.size)
    }

    private mutating func add(_ part: UInt32, length: Int) {
        checksum = CRC32.joining(checksum, part, length: UInt64(length))
        offset += UInt64(length)
        if offset - flushed >= Self.flushSize { flush() }
    }

    /// Has the kernel begin to write to the medium what it has, and forget what is written.
    ///
    /// Otherwise it waits for the fsync at the end, and a background task's output displaces what
    /// others want to read again. A pipe knows no such thing, and its answer doesn't matter.
    private mutating func flush() {
        _ = posix_fadvise(
            descriptor.rawValue, Int(clamping: flushed), Int(clamping: offset - flushed),
            POSIX_FADV_DONTNEED)
        flushed = offset
    }

    private func put(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) {
        do {
            try descriptor.writeAll(bytes)
        } catch {
            throw .system(
                SystemError(
                    operation: "write", path: path.string, errno: error as? Errno ?? .ioError))
        }
    }
}

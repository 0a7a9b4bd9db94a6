internal import CLinux
internal import Glibc
public import SystemPackage

/// An open file or block device, closed when its owner lets go of it.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// What it is opened for.
    public enum Access: Sendable {
        case readOnly, readWrite
    }

    /// For calls that take a descriptor; valid as long as this value is.
    public let descriptor: FileDescriptor
    /// What was opened, for messages.
    public let path: FilePath
    private var isOpen = true

    init(_ descriptor: FileDescriptor, path: FilePath) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit {
        if isOpen { try? descriptor.close() }
    }

    /// Opens what exists.
    ///
    /// - Parameters:
    ///   - exclusive: for a block device, the kernel's claim (O_EXCL): fails with EBUSY if it is
    ///     mounted, under device-mapper, or claimed by somebody else.
    ///   - direct: O_DIRECT, past the page cache; buffers, offsets and lengths are then multiples of
    ///     the device's logical sector.
    public static func open(
        _ path: FilePath, _ access: Access, exclusive: Bool = false, direct: Bool = false
    ) throws(SystemError) -> OwnedDescriptor {
        var options: FileDescriptor.OpenOptions = []
        if exclusive { options.formUnion(.init(rawValue: O_EXCL)) }
        if direct { options.formUnion(.init(rawValue: clinux_o_direct())) }
        return try make("open", path, access, options)
    }

    /// Opens or creates, as the options say, whatever the caller's descriptors 0 to 2 are: in a
    /// library's host they may be closed, and what got their number would be read as input or have
    /// messages written to it.
    static func make(
        _ operation: String, _ path: FilePath, _ access: Access,
        _ options: FileDescriptor.OpenOptions, permissions: FilePermissions? = nil
    ) throws(SystemError) -> OwnedDescriptor {
        let opened = try systemCall(operation, path) {
            try FileDescriptor.open(
                path, access == .readOnly ? .readOnly : .readWrite,
                options: options.union(.closeOnExec), permissions: permissions)
        }
        let descriptor = try systemCall(operation, path.string) {
            clinux_above_standard(opened.rawValue)
        }
        return OwnedDescriptor(FileDescriptor(rawValue: descriptor), path: path)
    }

    /// Creates a file that must not exist, for reading and writing by its owner alone (0600).
    public static func create(_ path: FilePath) throws(SystemError) -> OwnedDescriptor {
        try make(
            "create", path, .readWrite, [.create, .exclusiveCreate, .noFollow],
            permissions: [.ownerReadWrite])
    }

    /// The length of a regular file, or of a block device.
    public func size() throws(SystemError) -> ByteCount {
        var status = stat()
        try systemCall("fstat", path.string) { unsafe fstat(descriptor.rawValue, &status) }
        guard status.st_mode & S_IFMT == S_IFBLK else {
            return ByteCount(UInt64(status.st_size))
        }
        var bytes: UInt64 = 0
        try systemCall("BLKGETSIZE64", path.string) {
            unsafe clinux_blk_size(descriptor.rawValue, &bytes)
        }
        return ByteCount(bytes)
    }

    /// Sets a regular file's length; what is added is a hole.
    public func resize(to size: ByteCount) throws(SystemError) {
        guard let length = off_t(exactly: size.bytes) else {
            throw SystemError(operation: "ftruncate", path: path.string, errno: .fileTooLarge)
        }
        try systemCall("ftruncate", path.string) { ftruncate(descriptor.rawValue, length) }
    }

    /// Reads until the buffer is full or the file ends.
    ///
    /// - Returns: the number of bytes read, less than the buffer's only at the end.
    public func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try systemCall("pread", path) {
                try unsafe descriptor.read(
                    fromAbsoluteOffset: Int64(clamping: offset + UInt64(done)), into: rest)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes the whole buffer.
    public func write(
        _ buffer: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(SystemError) {
        _ = try systemCall("pwrite", path) {
            try unsafe descriptor.writeAll(
                toAbsoluteOffset: Int64(clamping: offset), buffer)
        }
    }

    /// Reads up to `count` bytes at `offset`.
    public func read(count: Int, at offset: UInt64) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var failure: SystemError?
        let read = unsafe bytes.withUnsafeMutableBytes { buffer in
            do throws(SystemError) {
                return try unsafe self.read(into: buffer, at: offset)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        bytes.removeLast(count - read)
        return bytes
    }

    /// Writes all of `bytes` at `offset`.
    public func write(_ bytes: [UInt8], at offset: UInt64) throws(SystemError) {
        var failure: SystemError?
        unsafe bytes.withUnsafeBytes { buffer in
            do throws(SystemError) {
                try unsafe self.write(buffer, at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Returns when everything written is on stable storage, device caches included.
    public func synchronize() throws(SystemError) {
        try systemCall("fsync", path.string) { fsync(descriptor.rawValue) }
    }

    /// Drops a block device's page cache, so that the next read sees what the device holds.
    public func dropCache() throws(SystemError) {
        try systemCall("BLKFLSBUF", path.string) {
            clinux_blk_flush_buffers(descriptor.rawValue)
        }
    }

    /// Drops what is in the page cache of a file and on stable storage, so that the next read sees what
    /// that holds.
    public func forgetCache() {
        _ = posix_fadvise(descriptor.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// Has the kernel read what it is asked for, and nothing ahead of it (POSIX_FADV_RANDOM).
    func adviseRandomReads() {
        _ = posix_fadvise(descriptor.rawValue, 0, 0, POSIX_FADV_RANDOM)
    }

    /// Has the kernel start reading a range into the page cache (POSIX_FADV_WILLNEED).
    ///
    /// The kernel takes no more at a time than the device's readahead, and drops the rest silently;
    /// so it is told in the smallest usual pieces. It waits where too much is under way.
    package func prefetch(_ range: Range<UInt64>) {
        let step: UInt64 = 128 << 10
        var offset = range.lowerBound
        while offset < range.upperBound {
            let length = min(step - offset % step, range.upperBound - offset)
            guard
                posix_fadvise(
                    descriptor.rawValue, off_t(clamping: offset), off_t(length),
                    POSIX_FADV_WILLNEED) == 0
            else { return }
            offset += length
        }
    }

    /// The descriptor, which is the caller's to close from now on.
    package consuming func kept() -> FileDescriptor {
        isOpen = false
        return descriptor
    }

    /// Closes, with the error that the deinitializer could only swallow.
    public consuming func close() throws(SystemError) {
        isOpen = false
        let descriptor = self.descriptor
        try systemCall("close", path) { try descriptor.close() }
    }
}

extension FileDescriptor {
    /// Whether I/O goes past the page cache (O_DIRECT).
    package var isDirect: Bool {
        let flags = fcntl(rawValue, F_GETFL)
        return flags != -1 && flags & clinux_o_direct() != 0
    }

    /// Has I/O go past the page cache, or through it again.
    ///
    /// - Returns: whether it does now as asked: not every file system can.
    package func setDirect(_ isDirect: Bool) -> Bool {
        let flags = fcntl(rawValue, F_GETFL)
        guard flags != -1 else { return false }
        let direct = clinux_o_direct()
        return fcntl(rawValue, F_SETFL, isDirect ? flags | direct : flags & ~direct) == 0
    }
}

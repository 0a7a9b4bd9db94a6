internal import Glibc
public import SystemPackage

/// What a file is and when it was changed last. Nobody can set the time of the last change: two stamps
/// that are the same, and `isExact`, mean that nobody wrote to the file in between.
public struct FileStamp: Codable, Hashable, Sendable {
    /// Its inode number, and its size in bytes.
    public let inode, size: UInt64
    /// When its contents were changed last, and when anything about it was; in nanoseconds since 1970.
    public let modified, changed: Int64

    /// A stamp, from its parts.
    public init(inode: UInt64, size: UInt64, modified: Int64, changed: Int64) {
        self.inode = inode
        self.size = size
        self.modified = modified
        self.changed = changed
    }

    /// Of a file as stat(2) found it.
    public init(_ status: FileStatus) {
        self.init(
            inode: status.inode, size: status.size.bytes, modified: status.modified,
            changed: status.changed)
    }

    /// Of a regular file, when its clock has gone on since the last change: with the tick that the kernel
    /// takes such times by (ktime_get_coarse_real_ts64), a write right after could bear the same time.
    ///
    /// - Returns: nil of anything else, and where somebody goes on writing to it.
    public static func settled(_ path: FilePath) throws(SystemError) -> FileStamp? {
        for _ in 0..<5 {
            let status = try FileStatus(path)
            guard status.kind == .regular else { return nil }
            var now = timespec()
            _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
            // Wrapping: a file system may have any number there, and one that is no age is none.
            let age = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec) &- status.changed
            // Two ticks at the least that a kernel has in a second, 100.
            if age > 20_000_000 { return FileStamp(status) }
            usleep(25_000)
        }
        return nil
    }

    /// Whether its file system keeps the time of a change exactly enough to tell two of them apart.
    public var isExact: Bool { !changed.isMultiple(of: 1_000_000_000) }
}

internal import CLinux
internal import CStatfs
internal import Glibc
public import SystemPackage

/// Whole small files, written so that a crash leaves the old or the new one, never a part.
public enum Files {
    /// The file's bytes.
    ///
    /// - Parameter limit: a longer file fails with EFBIG, so that nobody makes us read forever.
    public static func read(
        _ path: FilePath, limit: Int = 16 << 20
    ) throws(SystemError) -> [UInt8] {
        // A FIFO would wait for its writer.
        let file = try OwnedDescriptor.make("open", path, .readOnly, [.nonBlocking])
        var bytes: [UInt8] = []
        // Files of proc and sysfs say they are empty, so the end is where a read says so.
        while bytes.count <= limit {
            let more = try file.read(count: 1 << 16, at: UInt64(bytes.count))
            bytes += more
            if more.count < 1 << 16, bytes.count <= limit { return bytes }
        }
        throw SystemError(operation: "read", path: path.string, errno: .fileTooLarge)
    }

    /// Replaces the file, or creates it (0600 unless told otherwise): write, fsync, rename, fsync of
    /// the directory.
    public static func replace(
        _ path: FilePath, with bytes: [UInt8], permissions: FilePermissions = [.ownerReadWrite]
    ) throws(SystemError) {
        let temporary = path.appendingSuffix(".new")
        try? remove(temporary)
        let file = try OwnedDescriptor.create(temporary)
        do {
            try file.write(bytes, at: 0)
            try systemCall("fchmod", temporary.string) {
                fchmod(file.descriptor.rawValue, permissions.rawValue)
            }
            try file.synchronize()
            try rename(temporary, to: path)
        } catch {
            try? remove(temporary)
            throw error
        }
        try synchronizeDirectory(path.removingLastComponent())
    }

    /// Renames, in the place of what `target` was.
    public static func rename(_ path: FilePath, to target: FilePath) throws(SystemError) {
        try systemCall("rename", path.string) {
            unsafe path.withPlatformString { old in
                unsafe target.withPlatformString { unsafe Glibc.rename(old, $0) }
            }
        }
    }

    /// Renames, and fails with EEXIST if the target exists: nothing is ever replaced.
    public static func renameNew(_ path: FilePath, to target: FilePath) throws(SystemError) {
        try systemCall("rename", target.string) {
            unsafe path.withPlatformString { old in
                unsafe target.withPlatformString { unsafe clinux_rename_new(old, $0) }
            }
        }
    }

    /// Removes a file, or a symbolic link, but no directory.
    public static func remove(_ path: FilePath) throws(SystemError) {
        try systemCall("unlink", path.string) {
            unsafe path.withPlatformString { unsafe unlink($0) }
        }
    }

    /// Removes a directory and the plain files in it, if it is there; a directory in it stops it.
    public static func removeDirectory(_ path: FilePath) throws(SystemError) {
        guard exists(path) else { return }
        for name in try list(path) {
            try remove(path.appending(name))
        }
        try systemCall("rmdir", path.string) { unsafe path.withPlatformString { unsafe rmdir($0) } }
        try synchronizeDirectory(path.removingLastComponent())
    }

    /// Whether the path names anything, a dangling symbolic link included.
    public static func exists(_ path: FilePath) -> Bool {
        (try? FileStatus(path, follow: false)) != nil
    }

    /// Makes the directory for root alone (0700), and those above it (0755), where they don't exist;
    /// their names are on stable storage when it returns. One that is there must be root's alone to
    /// change (`TrustedPath`).
    public static func makeDirectory(
        _ path: FilePath, permissions: UInt32 = 0o700
    ) throws(SystemError) {
        try make(path, permissions).requireOurs()
    }

    private static func make(
        _ path: FilePath, _ permissions: UInt32
    ) throws(SystemError) -> TrustedPath {
        if let there = try directory(path) { return there }
        let above = path.removingLastComponent()
        if !above.isEmpty, above != path { _ = try make(above, 0o755) }
        do {
            try systemCall("mkdir", path.string) {
                unsafe path.withPlatformString { unsafe mkdir($0, permissions) }
            }
        } catch {
            // Somebody else was quicker: fine. But a symbolic link to nothing isn't a directory.
            guard error.errno == .fileExists, let there = try directory(path) else { throw error }
            return there
        }
        try synchronizeDirectory(above)
        return try TrustedPath(path)
    }

    /// The directory that is there; nil if nothing is.
    private static func directory(_ path: FilePath) throws(SystemError) -> TrustedPath? {
        let there: TrustedPath
        do {
            there = try TrustedPath(path)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
        guard there.status.kind == .directory else {
            throw SystemError(operation: "mkdir", path: path.string, errno: .notDirectory)
        }
        return there
    }

    /// The names in a directory, sorted, without `.` and `..`.
    public static func list(_ path: FilePath) throws(SystemError) -> [String] {
        guard let directory = unsafe path.withPlatformString({ unsafe opendir($0) }) else {
            throw SystemError(
                operation: "opendir", path: path.string, errno: Errno(rawValue: errno))
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while true {
            // readdir(3) tells its end from a failure by errno alone.
            errno = 0
            guard let entry = unsafe readdir(directory) else { break }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        if errno != 0 {
            throw SystemError(
                operation: "readdir", path: path.string, errno: Errno(rawValue: errno))
        }
        return names.sorted()
    }

    /// Does nothing where the directory can be written to.
    ///
    /// - Throws: EROFS on a read-only file system, EACCES.
    public static func requireWritable(_ path: FilePath) throws(SystemError) {
        try systemCall("access", path.string) {
            unsafe path.withPlatformString { unsafe access($0, W_OK) }
        }
    }

    /// Returns when a rename or a new name in this directory is on stable storage.
    public static func synchronizeDirectory(_ path: FilePath) throws(SystemError) {
        try OwnedDescriptor.open(path.isEmpty ? "." : path, .readOnly).synchronize()
    }

    /// Returns when everything written to the file system that a directory is in is on its device.
    public static func synchronizeFileSystem(of directory: FilePath) throws(SystemError) {
        let opened = try OwnedDescriptor.open(directory.appending("."), .readOnly)
        try systemCall("syncfs", directory.string) {
            clinux_sync_file_system(opened.descriptor.rawValue)
        }
    }

    /// The absolute path without symbolic links, `.` or `..`; the file must exist.
    public static func resolve(_ path: FilePath) throws(SystemError) -> FilePath {
        guard let resolved = unsafe path.withPlatformString({ unsafe realpath($0, nil) }) else {
            throw SystemError(
                operation: "realpath", path: path.string, errno: Errno(rawValue: errno))
        }
        defer { unsafe free(resolved) }
        return unsafe FilePath(platformString: resolved)
    }

    /// Bytes that an unprivileged writer could still add to the file system of `path`, and its size.
    public static func freeSpace(
        _ path: FilePath
    ) throws(SystemError) -> (free: ByteCount, size: ByteCount) {
        var status = statvfs()
        try systemCall("statvfs", path.string) {
            unsafe path.withPlatformString { unsafe statvfs($0, &status) }
        }
        let block = UInt64(status.f_frsize)
        return (
            ByteCount(UInt64(status.f_bavail) * block), ByteCount(UInt64(status.f_blocks) * block)
        )
    }

    /// Whether the file system of `path` is a tmpfs or a ramfs.
    public static func isInMemory(_ path: FilePath) throws(SystemError) -> Bool {
        var status = statfs()
        try systemCall("statfs", path.string) {
            unsafe path.withPlatformString { unsafe statfs($0, &status) }
        }
        return [Int(TMPFS_MAGIC), Int(RAMFS_MAGIC)].contains(Int(status.f_type))
    }
}

extension FilePath {
    /// The same path with `suffix` at the end of its last component.
    public func appendingSuffix(_ suffix: String) -> FilePath {
        FilePath(string + suffix)
    }
}

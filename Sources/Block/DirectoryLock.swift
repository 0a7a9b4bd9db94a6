internal import Glibc
public import SystemPackage

/// A lock (flock(2)) on a directory itself: shared by all who use what is in it, or one's alone who takes
/// it away. No file is made for it, and it ends with its owner.
public struct DirectoryLock: ~Copyable, Sendable {
    private let directory: OwnedDescriptor

    private init(_ directory: consuming OwnedDescriptor) {
        self.directory = directory
    }

    deinit {
        // As with `FileLock`: a process that is just being started has a copy of the descriptor.
        flock(directory.descriptor.rawValue, LOCK_UN)
    }

    /// Takes it, if nobody holds it in a way that forbids that.
    ///
    /// - Parameter alone: for one who takes the directory away; else for one of many who use it.
    /// - Returns: nil if somebody uses it, or takes it away.
    /// - Throws: ENOENT where the directory isn't there, or was taken away meanwhile; what open(2) and
    ///   flock(2) fail with.
    public static func takeIfFree(
        _ path: FilePath, alone: Bool
    ) throws(SystemError) -> DirectoryLock? {
        let directory = try OwnedDescriptor.open(path, .readOnly)
        let descriptor = directory.descriptor.rawValue
        do {
            try systemCall("flock", path.string) {
                flock(descriptor, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB)
            }
        } catch {
            if error.errno == .wouldBlock { return nil }
            throw error
        }
        var opened = stat()
        guard unsafe fstat(descriptor, &opened) == 0,
            let named = try? FileStatus(path), named.inode == UInt64(opened.st_ino),
            named.fileSystem == UInt64(opened.st_dev)
        else {
            throw SystemError(operation: "flock", path: path.string, errno: .noSuchFileOrDirectory)
        }
        return DirectoryLock(directory)
    }

    /// The same, and waits until it can be had, no longer than `patience`, as `FileLock.take` does.
    public static func take(
        _ path: FilePath, alone: Bool, patience: Duration, waiting: () -> Void = {}
    ) throws(SystemError) -> DirectoryLock? {
        try FileLock.asking(patience, waiting) { () throws(SystemError) in
            try takeIfFree(path, alone: alone)
        }
    }

    /// Runs `body` and lets go of the lock.
    public consuming func holding<Result>(_ body: () throws -> Result) throws -> Result {
        let result = Swift.Result { try body() }
        release()
        return try result.get()
    }

    /// Lets go of it.
    public consuming func release() {
        // The deinitializer does it.
    }
}

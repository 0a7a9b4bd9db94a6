internal import Glibc
public import SystemPackage

/// An exclusive lock on a file (flock(2)), held until its owner lets go of it or dies.
public struct FileLock: ~Copyable, Sendable {
    private let file: OwnedDescriptor

    private init(_ file: consuming OwnedDescriptor) {
        self.file = file
    }

    deinit {
        // Closing alone wouldn't do: a process that is just being started has a copy of the
        // descriptor until it is another program.
        flock(file.descriptor.rawValue, LOCK_UN)
    }

    /// Waits until nobody else holds it, for however long. The file is created (0600) if need be.
    public static func take(_ path: FilePath) throws(SystemError) -> FileLock {
        while true {
            let file = try openLockFile(path)
            let descriptor = file.descriptor.rawValue
            try systemCall("flock", path.string) { flock(descriptor, LOCK_EX) }
            if isNamed(file) { return noted(FileLock(file)) }
        }
    }

    /// Waits until nobody else holds it, and no longer than `patience`.
    ///
    /// It asks again and again, after 10 ms at first and 100 ms later: a flock(2) that waits can't be
    /// given up without a signal. Who waits in flock(2) itself comes before who asks, so all who
    /// want the same lock should ask.
    ///
    /// - Parameter waiting: called once, after a second in vain: the time to say what is waited for.
    /// - Returns: nil if somebody still holds it; `holder(of:)` tells who.
    public static func take(
        _ path: FilePath, patience: Duration, waiting: () -> Void = {}
    ) throws(SystemError) -> FileLock? {
        try asking(patience, waiting) { () throws(SystemError) in try takeIfFree(path) }
    }

    /// Asks for a lock again and again until it is had, or patience is at its end.
    static func asking<Lock: ~Copyable>(
        _ patience: Duration, _ waiting: () -> Void,
        _ takeIfFree: () throws(SystemError) -> Lock?
    ) throws(SystemError) -> Lock? {
        let start = ContinuousClock.now
        var pause = Duration.milliseconds(10)
        var isSaid = false
        while true {
            if let lock = try takeIfFree() { return lock }
            let left = patience - (ContinuousClock.now - start)
            if left <= .zero { return nil }
            if !isSaid, ContinuousClock.now - start >= .seconds(1) {
                isSaid = true
                waiting()
            }
            usleep(UInt32(min(pause, left) / .microseconds(1)))
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    /// Takes it only if nobody holds it; nil if somebody does.
    public static func takeIfFree(_ path: FilePath) throws(SystemError) -> FileLock? {
        while true {
            guard let lock = try takeIfFree(openLockFile(path)) else { return nil }
            if isNamed(lock.file) { return noted(lock) }
        }
    }

    /// The same for a file that is there for another reason. It is opened for reading only, so that
    /// whoever watches it for writers (inotify's IN_CLOSE_WRITE) sees none.
    public static func takeIfFree(existing path: FilePath) throws(SystemError) -> FileLock? {
        try takeIfFree(OwnedDescriptor.open(path, .readOnly))
    }

    /// The same, and waits as `take` does.
    public static func take(
        existing path: FilePath, patience: Duration, waiting: () -> Void = {}
    ) throws(SystemError) -> FileLock? {
        try asking(patience, waiting) { () throws(SystemError) in
            try takeIfFree(existing: path)
        }
    }

    private static func takeIfFree(
        _ file: consuming OwnedDescriptor
    ) throws(SystemError) -> FileLock? {
        let descriptor = file.descriptor.rawValue
        do {
            try systemCall("flock", file.path.string) { flock(descriptor, LOCK_EX | LOCK_NB) }
        } catch {
            if error.errno == .wouldBlock { return nil }
            throw error
        }
        return FileLock(file)
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

    private static func openLockFile(_ path: FilePath) throws(SystemError) -> OwnedDescriptor {
        try .make("open", path, .readWrite, [.create, .noFollow], permissions: [.ownerReadWrite])
    }

    /// Whether the path still leads to the file that was opened. Somebody may have removed it
    /// meanwhile, and then the next to come locks another one.
    private static func isNamed(_ file: borrowing OwnedDescriptor) -> Bool {
        var opened = stat()
        guard unsafe fstat(file.descriptor.rawValue, &opened) == 0,
            let named = try? FileStatus(file.path, follow: false)
        else { return false }
        return named.inode == UInt64(opened.st_ino) && named.fileSystem == UInt64(opened.st_dev)
    }
}

// MARK: whose it is

extension FileLock {
    /// A note's length: a process id, its command (TASK_COMM_LEN is 16), and room. Always the same, so
    /// that one write replaces another's.
    private static let noteLength = 32

    /// Writes into the lock's file who holds it. It is only for messages: no matter if it can't.
    ///
    /// A file that holds anything but a note is somebody's, an image perhaps, and stays as it is.
    private static func noted(_ lock: consuming FileLock) -> FileLock {
        guard let size = try? lock.file.size().bytes, size == 0 || size == UInt64(noteLength)
        else { return lock }
        let process = getpid()
        let note = Array("\(process) \(command(of: process) ?? "")\n".utf8)
        let padding = [UInt8](repeating: UInt8(ascii: " "), count: noteLength)
        // In one call, at the beginning, where nobody has read or written through this descriptor.
        _ = try? lock.file.descriptor.writeAll((note + padding).prefix(noteLength))
        return lock
    }

    /// Who has taken the lock last, if that process is still there: for a message, after it could not
    /// be had. Nothing is known of locks of files that are there for another reason.
    ///
    /// - Returns: its id, and the name of what it runs, as in /proc/PID/comm.
    public static func holder(of path: FilePath) -> (pid: Int32, command: String)? {
        guard let bytes = try? Files.read(path, limit: noteLength),
            let line = bytes.split(separator: UInt8(ascii: "\n")).first
        else { return nil }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 1)
        // Another process may have that id by now; it hardly has the same name, too.
        guard words.count == 2, let process = Int32(words[0]), process > 0,
            let command = command(of: process), command == words[1]
        else { return nil }
        return (process, command)
    }

    private static func command(of process: Int32) -> String? {
        Sysfs.attribute(FilePath("/proc/\(process)/comm"))
    }
}

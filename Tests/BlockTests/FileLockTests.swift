import Glibc
import Subprocess
import SystemPackage
import Testing

@testable import Block

@Suite struct FileLockTests {
    let directory: TemporaryDirectory
    var path: FilePath { directory.file("lock") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// Whether the lock could be had, given back at once.
    private func isFree() throws -> Bool {
        switch try FileLock.takeIfFree(path) {
        case .some: true
        case .none: false
        }
    }

    @Test("A lock excludes other descriptors of the same process, and is free when it is let go of")
    func descriptors() throws {
        // flock(2): locks belong to the open file description, so a second open competes.
        do {
            let lock = try FileLock.take(path)
            #expect(try !isFree())
            #expect(try !isFree())
            _ = consume lock
        }
        #expect(try isFree())
        #expect(try isFree())
    }

    @Test("Taking a lock only if it is free gives one that excludes, too")
    func takenIfFree() throws {
        let lock = try FileLock.takeIfFree(path)
        #expect(try !isFree())
        _ = consume lock
        #expect(try isFree())
    }

    @Test("A lock ends with its owner even where a copy of its descriptor lives on")
    func copiedDescriptor() throws {
        // fork(2) copies every descriptor, close-on-exec or not, until the child is another program;
        // LOCK_UN on one of them lets go of the lock for all (flock(2)).
        let lock = try FileLock.take(path)
        let number = try #require(
            Files.list("/proc/self/fd").compactMap { CInt($0) }.first { number in
                (try? Files.resolve(FilePath("/proc/self/fd/\(number)"))) == path
            })
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
        defer { close(copy) }
        #expect(copy >= 0)
        #expect(try !isFree())
        _ = consume lock
        #expect(try isFree())
    }

    @Test("A lock held for a task is held through it and no longer, also when the task fails")
    func holding() throws {
        struct Cause: Error, Equatable {}
        #expect(try FileLock.take(path).holding { try isFree() } == false)
        #expect(try isFree())
        #expect(throws: Cause()) { try FileLock.take(path).holding { throw Cause() } }
        #expect(try isFree())
    }

    @Test("Releasing a lock frees it at once")
    func release() throws {
        let lock = try FileLock.take(path)
        #expect(try !isFree())
        lock.release()
        #expect(try isFree())
    }

    @Test("Two files' locks have nothing to do with each other")
    func otherFile() throws {
        let other = try FileLock.take(directory.file("other"))
        #expect(try isFree())
        _ = consume other
    }

    @Test("The lock's file is made for its owner alone")
    func mode() throws {
        #expect(try isFree())
        #expect(try FileStatus(path).permissions == 0o600)
    }

    @Test("A symbolic link in the lock's place is refused with ELOOP")
    func linkInPlace() throws {
        // open(2): ELOOP with O_NOFOLLOW if the path is a symbolic link.
        let target = try directory.file("target", holding: "")
        try symbolicLink(path, to: target.string)
        let error = SystemError(
            operation: "open", path: path.string, errno: .tooManySymbolicLinkLevels)
        #expect(throws: error) { try isFree() }
        #expect(throws: error) { _ = try FileLock.take(path) }
    }

    @Test("Another process's lock excludes us, until that process is killed")
    func killedHolder() async throws {
        _ = try directory.file("lock", holding: "")
        // One process from beginning to end: the shell takes the lock and becomes the sleep.
        let script = #"exec 9>>"$1" && flock -x 9 && echo held && exec sleep 600"#
        let path = path
        let held = try await Subprocess.run(
            .name("sh"), arguments: ["-c", script, "sh", path.string], environment: .withTools,
            input: .none, output: .sequence, error: .discarded
        ) { holder in
            var lines = holder.standardOutput.strings().makeAsyncIterator()
            let word = try await lines.next()
            let wasFree = try isFree()
            try holder.send(signal: .kill)
            return (word: word, wasFree: wasFree)
        }
        #expect(held.closureResult.word == "held")
        #expect(!held.closureResult.wasFree)
        #expect(held.terminationStatus == .signaled(9))
        // Its descriptors were closed before it could be waited for.
        #expect(try isFree())
    }

    @Test("Waiting for a lock ends when its holder's process ends")
    func waiting() async throws {
        _ = try directory.file("lock", holding: "")
        let script = #"exec 9>>"$1" && flock -x 9 && echo held && read -r line"#
        let path = path
        let result = try await Subprocess.run(
            .name("sh"), arguments: ["-c", script, "sh", path.string], environment: .withTools,
            input: .inputWriter, output: .sequence, error: .discarded
        ) { holder in
            var lines = holder.standardOutput.strings().makeAsyncIterator()
            let word = try await lines.next()
            async let taken = onThread {
                let lock = try FileLock.take(path)
                _ = consume lock
                return true
            }
            _ = try await holder.standardInputWriter.write("go\n")
            try await holder.standardInputWriter.finish()
            return (word: word, taken: try await taken)
        }
        #expect(result.closureResult.word == "held")
        #expect(result.closureResult.taken)
        #expect(try isFree())
    }

    @Test("A lock is waited for as long as there is patience, and waiting is said once")
    func patience() throws {
        let lock = try FileLock.take(path)
        var said = 0
        let time = try ContinuousClock().measure {
            let isFree =
                switch try FileLock.take(
                    path, patience: .milliseconds(1300), waiting: { said += 1 })
                {
                case .some: true
                case .none: false
                }
            #expect(!isFree)
        }
        #expect(said == 1)
        #expect(time >= .milliseconds(1300))
        _ = consume lock
    }

    @Test("Without patience a lock is tried once, and a free one is taken without a word")
    func impatient() throws {
        var said = 0
        func isTaken(_ patience: Duration) throws -> Bool {
            switch try FileLock.take(path, patience: patience, waiting: { said += 1 }) {
            case .some: true
            case .none: false
            }
        }
        #expect(try isTaken(.zero))
        #expect(try isTaken(.seconds(-1)))
        let lock = try FileLock.take(path)
        #expect(try !isTaken(.zero))
        _ = consume lock
        #expect(try isTaken(.seconds(600)))
        #expect(said == 0)
    }

    @Test("A lock that is let go of meanwhile is had")
    func patienceRewarded() async throws {
        let lock = try FileLock.take(path)
        let path = path
        async let isTaken = onThread {
            switch try FileLock.take(path, patience: .seconds(60)) {
            case .some: true
            case .none: false
            }
        }
        try await Task.sleep(for: .milliseconds(50))
        _ = consume lock
        #expect(try await isTaken)
    }

    @Test("Who holds a lock is known, as long as that process lives")
    func holder() async throws {
        #expect(FileLock.holder(of: path) == nil)
        let lock = try FileLock.take(path)
        let holder = try #require(FileLock.holder(of: path))
        #expect(holder.pid == getpid())
        #expect(try holder.command + "\n" == text("/proc/self/comm"))
        _ = consume lock
    }

    @Test(
        "A note that isn't of a living process of that name names nobody",
        arguments: [
            "", "\n", "1\n", "1 no such name\n", "-1 x\n", "0 x\n", "x\n", "99999999999 x\n",
            "4194305 dmsnap\n", "\u{FF}\u{0}",
        ])
    func nobody(note: String) throws {
        _ = try directory.file("lock", holding: note)
        #expect(FileLock.holder(of: path) == nil)
    }

    @Test("Another holder's note is replaced, whatever its length")
    func replacedNote() throws {
        let note = "1234567 fifteen-letters\n"
        let padded = note + String(repeating: " ", count: 32 - note.utf8.count)
        let lock = try FileLock.take(directory.file("lock", holding: padded))
        #expect(FileLock.holder(of: path)?.pid == getpid())
        #expect(try FileStatus(path).size == ByteCount(32))
        _ = consume lock
    }

    @Test("A file that is there for another reason is locked, and not written to")
    func foreignFile() throws {
        for content in ["x", String(repeating: "x", count: 512)] {
            try Files.replace(path, with: Array(content.utf8))
            let lock = try FileLock.take(path)
            #expect(try !isFree())
            _ = consume lock
            #expect(try text(path) == content)
        }
    }

    @Test("A lock's file that was removed while it was waited for is made again")
    func removedMeanwhile() async throws {
        let lock = try FileLock.take(path)
        let path = path
        async let isThere = onThread {
            let lock = try FileLock.take(path)
            let isThere = Files.exists(path)
            _ = consume lock
            return isThere
        }
        try await Task.sleep(for: .milliseconds(50))
        try Files.remove(path)
        _ = consume lock
        #expect(try await isThere)
    }
}

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
        #expect(try FileLock.holding(path) { try isFree() } == false)
        #expect(try isFree())
        #expect(throws: Cause()) { try FileLock.holding(path) { throw Cause() } }
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
            async let taken = Task.detached {
                let lock = try FileLock.take(path)
                _ = consume lock
                return true
            }.value
            _ = try await holder.standardInputWriter.write("go\n")
            try await holder.standardInputWriter.finish()
            return (word: word, taken: try await taken)
        }
        #expect(result.closureResult.word == "held")
        #expect(result.closureResult.taken)
        #expect(try isFree())
    }
}

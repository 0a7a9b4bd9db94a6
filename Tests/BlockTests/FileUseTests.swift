import Subprocess
import SystemPackage
import Testing

@testable import Block

@Suite struct FileUseTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// What is found while another process has done `call` to the file `f`, and that process's id.
    private func found(
        after call: String
    ) async throws -> (lock: FileUse.ForeignLock?, process: Int32) {
        let path = try directory.image("image", size: 4096)
        let script = """
            import fcntl, os, struct, sys
            f = open(sys.argv[1], "r+")
            \(call)
            print(os.getpid(), flush=True)
            sys.stdin.read()
            """
        let result = try await Subprocess.run(
            .name("python3"), arguments: ["-c", script, path.string], environment: .withTools,
            input: .inputWriter, output: .sequence, error: .discarded
        ) { holder in
            var lines = holder.standardOutput.strings().makeAsyncIterator()
            let process = try await lines.next()
            let lock = try FileUse.foreignLock(path)
            try await holder.standardInputWriter.finish()
            return (lock: lock, process: process.flatMap { Int32($0) })
        }
        #expect(result.terminationStatus.isSuccess)
        #expect(try FileUse.foreignLock(path) == nil)
        return (result.closureResult.lock, try #require(result.closureResult.process))
    }

    @Test("A write lock of another process is found, with that process")
    func writeLock() async throws {
        let found = try await found(after: "fcntl.lockf(f, fcntl.LOCK_EX, 1, 100)")
        #expect(found.lock == .init(kind: .writing, process: found.process))
    }

    @Test("A shared lock of an open file description, as QEMU's are, is found without a process")
    func openFileDescription() async throws {
        // F_OFD_SETLK is 37; struct flock: type F_RDLCK, whence, start, length, process.
        let found = try await found(
            after: "fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 101, 1, 0))")
        #expect(found.lock == .init(kind: .reading, process: nil))
    }

    @Test("A lock of flock(2) is another world's")
    func flock() async throws {
        #expect(try await found(after: "fcntl.flock(f, fcntl.LOCK_EX)").lock == nil)
    }

    @Test("A lease for writing is found, and not waited for")
    func writeLease() async throws {
        let found = try await found(
            after: """
                import signal
                signal.signal(signal.SIGIO, signal.SIG_IGN)
                fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                """)
        #expect(found.lock?.kind == .lease)
    }

    @Test("A file without locks has none, and one that isn't there says so")
    func none() throws {
        #expect(try FileUse.foreignLock(directory.image("free", size: 0)) == nil)
        let missing = directory.file("missing")
        #expect(throws: SystemError.self) { _ = try FileUse.foreignLock(missing) }
        #expect(throws: SystemError.self) { _ = try FileUse.isSwappedOn(missing) }
    }

    @Test("A lease is one of the file by its device and inode, and of no other")
    func leases() throws {
        let file = try FileStatus(try directory.image("leased", size: 0))
        let number = DeviceNumber(file.fileSystem)
        func hexadecimal(_ value: UInt32) -> String {
            let digits = String(value, radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }
        let device = "\(hexadecimal(number.major)):\(hexadecimal(number.minor))"
        let other = """
            1: POSIX  ADVISORY  WRITE 7 \(device):\(file.inode) 0 EOF
            2: LEASE  ACTIVE    READ  8 \(device):\(file.inode + 1) 0 EOF
            3: LEASE  ACTIVE    READ  9 ff:ff:\(file.inode) 0 EOF
            4: LEASE
            nonsense
            """
        #expect(FileUse.lease(on: file, locks: other) == nil)
        let ours = other + "\n5: LEASE  BREAKING  READ  4711 \(device):\(file.inode) 0 EOF\n"
        #expect(FileUse.lease(on: file, locks: ours) == .init(kind: .lease, process: 4711))
        let unknown = "1: -> LEASE ACTIVE WRITE -1 \(device):\(file.inode) 0 EOF"
        #expect(FileUse.lease(on: file, locks: unknown) == .init(kind: .lease, process: nil))
    }
}

@Suite struct SwapTableTests {
    @Test("Swapped files and devices are read with what is escaped in their names")
    func table() throws {
        let directory = try TemporaryDirectory()
        let swaps = try directory.file(
            "swaps",
            holding: """
                Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
                /dev/sda2                               partition\t1048572\t\t0\t\t-2
                /srv/swap\\040file\\0111                   file\t\t65532\t\t0\t\t-3

                """)
        #expect(SwapTable.read(swaps.string) == ["/dev/sda2", "/srv/swap file\t1"])
        let empty = try directory.file("empty", holding: "Filename\tType\tSize\tUsed\tPriority\n")
        #expect(SwapTable.read(empty.string) == [])
        #expect(SwapTable.read(directory.file("missing").string) == [])
    }

    @Test("A swapped file is known by what it is, whatever path it was swapped on by")
    func identity() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.image("file", size: 4096)
        let link = directory.file("link")
        try hardLink(link, to: file)
        let status = try FileStatus(file)
        #expect(SwapTable.has(status, among: [ByteText(link)]))
        #expect(!SwapTable.has(status, among: [ByteText(try directory.image("other", size: 0))]))
        #expect(!SwapTable.has(status, among: ["/missing"]))
        #expect(try !FileUse.isSwappedOn(file))
    }
}

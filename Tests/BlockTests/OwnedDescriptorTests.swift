import Glibc
import SystemPackage
import Testing

@testable import Block

@Suite struct OwnedDescriptorTests {
    let directory: TemporaryDirectory
    var path: FilePath { directory.file("file") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test("Reading gives what there is: all of it, a short count at the end, nothing after it")
    func shortRead() throws {
        let file = try OwnedDescriptor.open(
            try directory.file("file", holding: "0123456789"), .readOnly)
        #expect(try file.read(count: 10, at: 0) == Array("0123456789".utf8))
        #expect(try file.read(count: 4, at: 8) == Array("89".utf8))
        #expect(try file.read(count: 4, at: 10).isEmpty)
        #expect(try file.read(count: 4, at: 1 << 40).isEmpty)
        #expect(try file.read(count: 0, at: 0).isEmpty)
    }

    @Test("Bytes are written where they are told to be, and leave a hole before them")
    func writeAtOffset() throws {
        let file = try OwnedDescriptor.create(path)
        try file.write([1, 2, 3], at: 5)
        try file.write([9], at: 6)
        #expect(try file.read(count: 100, at: 0) == [0, 0, 0, 0, 0, 1, 9, 3])
        try file.write([], at: 100)
        #expect(try file.size() == ByteCount(8))
    }

    @Test(
        "An offset beyond what a file can have fails with EINVAL", arguments: [1 << 63, UInt64.max])
    func hugeOffset(offset: UInt64) throws {
        // pread(2) takes a signed offset; beyond the last one there is no byte (rw_verify_area in
        // fs/read_write.c).
        let file = try OwnedDescriptor.create(path)
        let path = path.string
        #expect(throws: SystemError(operation: "pread", path: path, errno: .invalidArgument)) {
            try file.read(count: 512, at: offset)
        }
        #expect(throws: SystemError.self) { try file.write([1, 2], at: offset) }
        #expect(try file.size() == ByteCount(0))
    }

    @Test("The size is the regular file's, and resizing sets it with holes or a cut")
    func size() throws {
        let file = try OwnedDescriptor.create(path)
        try file.write([1, 2, 3], at: 0)
        #expect(try file.size() == ByteCount(3))
        try file.resize(to: ByteCount(1 << 33))
        #expect(try file.size() == ByteCount(1 << 33))
        #expect(try FileStatus(path).allocated < ByteCount(1 << 20))
        try file.resize(to: ByteCount(2))
        #expect(try file.read(count: 100, at: 0) == [1, 2])
        let error = SystemError(operation: "ftruncate", path: path.string, errno: .fileTooLarge)
        #expect(throws: error) { try file.resize(to: ByteCount(.max)) }
    }

    @Test("Creating refuses what exists, a dangling link included, and is for the owner alone")
    func createRefuses() throws {
        try OwnedDescriptor.create(path).close()
        #expect(try FileStatus(path).permissions == 0o600)
        let link = directory.file("link")
        try symbolicLink(link, to: "nowhere")
        for taken in [path, link] {
            let error = SystemError(operation: "create", path: taken.string, errno: .fileExists)
            #expect(throws: error) { _ = try OwnedDescriptor.create(taken) }
        }
        #expect(!Files.exists(directory.file("nowhere")))
    }

    @Test("Opening creates nothing, and what is opened for reading can't be written")
    func openReadOnly() throws {
        let error = SystemError(
            operation: "open", path: path.string, errno: .noSuchFileOrDirectory)
        #expect(throws: error) { _ = try OwnedDescriptor.open(path, .readWrite) }
        let file = try OwnedDescriptor.open(try directory.file("file", holding: "x"), .readOnly)
        #expect(
            throws: SystemError(operation: "pwrite", path: path.string, errno: .badFileDescriptor)
        ) {
            try file.write([1], at: 0)
        }
        #expect(try text(path) == "x")
    }

    @Test("A failed read says so and gives no bytes")
    func readFails() throws {
        let folder = try OwnedDescriptor.open(directory.path, .readOnly)
        let error = SystemError(
            operation: "pread", path: directory.path.string, errno: .isDirectory)
        #expect(throws: error) { try folder.read(count: 10, at: 0) }
    }

    @Test("Dropping the cache of what is no block device fails with ENOTTY")
    func dropCacheOfFile() throws {
        // ioctl(2): a request that the file's driver doesn't know.
        let file = try OwnedDescriptor.create(path)
        let error = SystemError(
            operation: "BLKFLSBUF", path: path.string, errno: .inappropriateIOCTLForDevice)
        #expect(throws: error) { try file.dropCache() }
    }

    @Test("The descriptor is closed when its owner lets go of it")
    func lifetime() throws {
        func number() throws -> CInt {
            let file = try OwnedDescriptor.create(path)
            let number = file.descriptor.rawValue
            #expect(fcntl(number, F_GETFD) != -1)
            return number
        }
        // Other tests open files at the same time, so a number may be taken again: then it is
        // another file's.
        let closed = try number()
        var now = stat()
        let answer = unsafe fstat(closed, &now)
        let inode = try FileStatus(path).inode
        #expect(answer == -1 || UInt64(now.st_ino) != inode)
    }

    @Test("No program that is started inherits a descriptor")
    func closeOnExec() throws {
        func isInherited(_ file: borrowing OwnedDescriptor) -> Bool {
            fcntl(file.descriptor.rawValue, F_GETFD) & FD_CLOEXEC == 0
        }
        #expect(try !isInherited(OwnedDescriptor.create(path)))
        #expect(try !isInherited(OwnedDescriptor.open(path, .readOnly)))
        #expect(try !isInherited(OwnedDescriptor.open(path, .readWrite)))
    }

    @Test("An error says the path, the call and the reason, to people and to programs")
    func errors() {
        let error = SystemError(operation: "LOOP_CONFIGURE", path: "/a b", errno: .resourceBusy)
        #expect(error.description == "/a b: LOOP_CONFIGURE: Device or resource busy")
        #expect(
            error == SystemError(operation: "LOOP_CONFIGURE", path: "/a b", errno: .resourceBusy))
        #expect(error != SystemError(operation: "open", path: "/a b", errno: .resourceBusy))
        #expect(error != SystemError(operation: "LOOP_CONFIGURE", path: "/a", errno: .resourceBusy))
        #expect(error != SystemError(operation: "LOOP_CONFIGURE", path: "/a b", errno: .ioError))
    }

    @Test("A call that fails is asked for its errno, and made again only when a signal broke it")
    func systemCalls() throws {
        var answers: [(Int32, CInt)] = [(-1, EINTR), (-1, EINTR), (7, 0), (-1, EAGAIN)]
        func call() -> Int32 {
            let (result, code) = answers.removeFirst()
            Glibc.errno = code
            return result
        }
        #expect(try systemCall("call", "path", call) == 7)
        #expect(
            throws: SystemError(
                operation: "call", path: "path", errno: .resourceTemporarilyUnavailable)
        ) {
            try systemCall("call", "path", call)
        }
        #expect(answers.isEmpty)
    }
}

import Block
import Dispatch
import Glibc
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct PasswordTests {
    private let directory: TemporaryDirectory
    private let password: ServicePassword

    init() throws {
        directory = try TemporaryDirectory()
        password = ServicePassword(registry: Registry(layout: Layout(root: directory.path)))
    }

    @Test("The first password needs no old one, and is kept as a yescrypt hash for root alone")
    func first() throws {
        #expect(!password.isSet)
        try password.set(Array("secret".utf8), old: nil)
        #expect(password.isSet)
        try password.verify(Array("secret".utf8))
        let stored = try Files.read(password.layout.password)
        #expect(stored.starts(with: Array("$y$".utf8)))
        #expect(!String(decoding: stored, as: UTF8.self).contains("secret"))
        #expect(try FileStatus(password.layout.password).permissions == 0o600)
    }

    @Test("A wrong password is refused, and takes its time")
    func wrong() throws {
        try password.set([1, 2, 3], old: nil)
        let clock = ContinuousClock()
        let time = clock.measure {
            let error = #expect(throws: SessionsError.self) { try password.verify([1, 2]) }
            #expect(error?.exitStatus == .denied)
        }
        #expect(time >= .seconds(Int(ServicePassword.penalty)))
    }

    @Test("While a wrong guess pauses no other process's is checked")
    func oneAtATime() throws {
        try password.set([1, 2, 3], old: nil)
        try Files.makeDirectory(password.layout.runDirectory)
        let ended = DispatchSemaphore(value: 0)
        // Not a task: other tests may be at work in all threads that those have.
        DispatchQueue.global().async { [password] in
            _ = #expect(throws: SessionsError.self) { try password.verify([1, 2]) }
            ended.signal()
        }
        // Whoever checks has it, from before the hashing to the end of the pause.
        var isChecking = false
        for _ in 0..<2000 where !isChecking {
            isChecking = try FileLock.takeIfFree(password.layout.passwordLock) == nil
            usleep(10_000)
        }
        #expect(isChecking)
        ended.wait()
        try password.verify([1, 2, 3])
    }

    @Test("Without a password set none is right")
    func none() throws {
        let error = #expect(throws: SessionsError.self) { try password.verify([]) }
        guard case .noPassword = error else { throw Unexpected("\(error.debugDescription)") }
        #expect(error?.exitStatus == .denied)
    }

    @Test("A change needs the old password, and leaves it in force where it is wrong")
    func change() throws {
        try password.set([1], old: nil)
        #expect(throws: SessionsError.self) { try password.set([2], old: nil) }
        #expect(throws: SessionsError.self) { try password.set([2], old: [3]) }
        try password.verify([1])
        try password.set([2], old: [1])
        try password.verify([2])
    }

    @Test("Two hashes of one password differ: each has a salt of its own")
    func salt() throws {
        try password.set([1], old: nil)
        let first = try Files.read(password.layout.password)
        try password.set([1], old: [1])
        #expect(try Files.read(password.layout.password) != first)
    }

    @Test("A password that is empty, longer than 511 bytes or has a zero in it is none")
    func impossible() throws {
        for new in [[], [UInt8](repeating: 1, count: 512), [1, 0, 2]] as [[UInt8]] {
            #expect(throws: SessionsError.self) { try password.set(new, old: nil) }
        }
        #expect(!password.isSet)
        try password.set([UInt8](repeating: 255, count: 511), old: nil)
        try password.verify([UInt8](repeating: 255, count: 511))
    }

    @Test("A password file's contents without the newline are the password")
    func passfile() throws {
        for (text, expected) in [
            ("secret\n", "secret"), ("secret", "secret"), ("two words \n", "two words "),
            ("a\nb\n", "a\nb"), ("dos\r\n", "dos"), ("two\n\n", "two\n"), ("cr\r", "cr\r"),
            ("cr\r\r\n", "cr\r"),
        ] {
            let file = try directory.file("pass", Array(text.utf8))
            try setMode(file, 0o600)
            #expect(try ServicePassword.read(passfile: file).bytes == Array(expected.utf8))
        }
    }

    @Test(
        "A password file that others may read or write is refused",
        arguments: [0o640, 0o604, 0o620, 0o602, 0o610, 0o777] as [UInt32])
    func openPassfile(mode: UInt32) throws {
        let file = try directory.file("pass", Array("secret\n".utf8))
        try setMode(file, mode)
        let error = #expect(throws: SessionsError.self) {
            try ServicePassword.read(passfile: file)
        }
        #expect(error?.exitStatus == .denied)
        #expect(error?.description.contains("chmod 600") == true)
        #expect(error?.description.contains("secret") == false)
    }

    @Test("A password comes through a pipe by any of its names, and no mode is asked for")
    func pipes() throws {
        let fifo = directory.path.appending("fifo")
        #expect(unsafe fifo.withPlatformString { unsafe mkfifo($0, 0o666) } == 0)
        for isNamed in [true, false] {
            let ends = try FileDescriptor.pipe()
            defer { try? ends.readEnd.close() }
            let path = isNamed ? fifo : FilePath("/dev/fd/\(ends.readEnd.rawValue)")
            DispatchQueue.global().async {
                do {
                    let writer = isNamed ? try FileDescriptor.open(fifo, .writeOnly) : ends.writeEnd
                    // In pieces, as a program that is slow writes it.
                    let parts: [[UInt8]] = [[0x73, 0xff], [0x74], [0x0a]]
                    for part in parts { try writer.writeAll(part) }
                    try writer.close()
                    if isNamed { try ends.writeEnd.close() }
                } catch {
                    Issue.record(error)
                }
            }
            #expect(try ServicePassword.read(passfile: path).bytes == [0x73, 0xff, 0x74])
        }
    }

    @Test("A password's bytes need not be UTF-8, and no others are equal to them")
    func bytes() throws {
        try password.set([0xff, 0xfe], old: nil)
        #expect(throws: SessionsError.self) { try password.verify([0xfe, 0xff]) }
        try password.verify([0xff, 0xfe])
    }

    @Test("What is left of a hash after a power cut is told, and is no wrong guess")
    func noHash() throws {
        try password.set([1], old: nil)
        for left in [[], [0, 0, 0], Array("\n".utf8)] as [[UInt8]] {
            try Files.replace(password.layout.password, with: left)
            let error = #expect(throws: SessionsError.self) { try password.verify([1]) }
            #expect(error?.exitStatus == .damaged)
            #expect(error?.description.contains(password.layout.password.string) == true)
        }
    }

    @Test("A password file that is missing, empty, too long or a directory is refused")
    func badPassfile() throws {
        let empty = try directory.file("empty", Array("\n".utf8))
        let long = try directory.file("long", [UInt8](repeating: 1, count: 5000))
        for file in [empty, long] { try setMode(file, 0o600) }
        let bad: [FilePath] = [
            empty, long, directory.path, directory.path.appending("missing"), "/dev/zero",
        ]
        for path in bad {
            let error = #expect(throws: SessionsError.self) {
                try ServicePassword.read(passfile: path)
            }
            #expect(error?.exitStatus == .denied, "\(path)")
        }
    }

    @Test("Comparing says only whether both are the same")
    func equal() {
        #expect(ServicePassword.equal([1, 2], [1, 2]))
        #expect(!ServicePassword.equal([1, 2], [1, 3]))
        #expect(!ServicePassword.equal([1, 2], [1, 2, 3]))
        #expect(ServicePassword.equal([], []))
    }
}

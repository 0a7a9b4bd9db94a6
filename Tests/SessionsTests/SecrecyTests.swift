import Block
import Glibc
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// What is left in memory of a password.
@Suite(.serialized) struct SecrecyTests {
    private let directory: TemporaryDirectory
    private let password: ServicePassword

    init() throws {
        directory = try TemporaryDirectory()
        password = ServicePassword(
            registry: Registry(layout: Layout(root: try Files.resolve(directory.path))))
    }

    private func file(
        _ name: String, _ secret: MemorySearch, then rest: [UInt8]
    ) throws -> FilePath {
        let path = directory.path.appending(name)
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create], permissions: .ownerReadWrite)
        try file.closeAfter {
            _ = try unsafe secret.lend { try unsafe file.writeAll($0) }
            _ = try file.writeAll(rest)
        }
        return path
    }

    @Test("The search finds a secret that was kept, and not one that was overwritten")
    func control() throws {
        let secret = MemorySearch()
        #expect(try secret.found() == 0)
        var kept = unsafe secret.lend { unsafe Array($0) }
        #expect(try secret.found() > 0)
        unsafe kept.withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { unsafe explicit_bzero(start, bytes.count) }
        }
        #expect(try secret.found() == 0)
        withExtendedLifetime(kept) {}
    }

    @Test("Set, verified, changed, guessed wrong, refused: no password is left in memory")
    func wiped() throws {
        let first = MemorySearch()
        let second = MemorySearch()
        let path = try file("first", first, then: Array("\r\n".utf8))
        let other = try file("second", second, then: [])
        let tooLong = try file("long", second, then: [UInt8](repeating: 0x61, count: 600))
        let open = try file("open", second, then: [])
        try setMode(open, 0o644)
        try password.set(ServicePassword.read(passfile: path), old: nil)
        try password.verify(ServicePassword.read(passfile: path))
        try unsafe password.verify(first.lend { unsafe Secret(copying: $0) })
        for refused in [
            { try self.password.verify(ServicePassword.read(passfile: other)) },
            { try self.password.set(ServicePassword.read(passfile: other), old: nil) },
            { _ = try ServicePassword.read(passfile: tooLong) },
            { _ = try ServicePassword.read(passfile: open) },
        ] as [() throws -> Void] {
            let error = #expect(throws: SessionsError.self) { try refused() }
            #expect(error?.exitStatus == .denied)
        }
        try password.set(
            ServicePassword.read(passfile: other), old: ServicePassword.read(passfile: path))
        #expect(try first.found() == 0)
        #expect(try second.found() == 0)
    }

    @Test(
        "A password file in a stranger's hands is refused; his own, named by root, is taken",
        .enabled(if: geteuid() == 0))
    func strangers() throws {
        let secret = MemorySearch()
        let home = directory.path.appending("home")
        try Files.makeDirectory(home)
        let path = try file("home/pass", secret, then: [])
        func give(_ path: FilePath, to owner: uid_t) throws {
            guard (unsafe path.withPlatformString { unsafe chown($0, owner, 0) }) == 0 else {
                throw Errno(rawValue: errno)
            }
        }
        _ = try ServicePassword.read(passfile: path)
        try give(home, to: 65534)
        var error = #expect(throws: SessionsError.self) { try ServicePassword.read(passfile: path) }
        #expect(error?.exitStatus == .denied)
        #expect(error?.description.contains("\(home): it is another user's") == true)
        try give(path, to: 65534)
        _ = try ServicePassword.read(passfile: path)
        try give(home, to: 0)
        try setMode(home, 0o777)
        error = #expect(throws: SessionsError.self) { try ServicePassword.read(passfile: path) }
        #expect(error?.description.contains("\(home): others may write") == true)
    }

    @Test("A hash that others could have put there is no password's")
    func hash() throws {
        try password.set([1], old: nil)
        let directory = password.layout.password.removingLastComponent()
        try setMode(directory, 0o777)
        let error = #expect(throws: SessionsError.self) { try password.verify([1]) }
        #expect(error?.description.contains("\(directory): others may write") == true)
        #expect(error?.exitStatus == .usage)
        try setMode(directory, 0o755)
        try password.verify([1])
    }
}

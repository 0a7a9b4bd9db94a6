import Glibc
import SystemPackage
import Testing

@testable import Block

@Suite struct TrustedPathTests {
    let directory: TemporaryDirectory

    /// Nobody's user id: a stranger to root and to whoever runs the tests.
    private static let stranger: uid_t = 65534

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func make(_ names: String...) throws -> FilePath {
        var path = directory.path
        for name in names {
            path.append(name)
            if !Files.exists(path) { try Files.makeDirectory(path) }
        }
        return path
    }

    private func give(_ path: FilePath, to owner: uid_t) throws {
        let result = unsafe path.withPlatformString { unsafe lchown($0, owner, 0) }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }

    /// That the path is refused, and the step named that is at fault.
    private func refuses(
        _ path: FilePath, at step: FilePath, saying word: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: SystemError.self, sourceLocation: sourceLocation) {
            try TrustedPath(path)
        }
        #expect(error?.path == step.string, sourceLocation: sourceLocation)
        #expect(error?.refusal?.contains(word) == true, sourceLocation: sourceLocation)
    }

    @Test("It is where the kernel comes to, links, . and .. included")
    func followed() throws {
        let deep = try make("a", "b")
        let file = deep.appending("file")
        try OwnedDescriptor.create(file).close()
        try symbolicLink(directory.file("up"), to: "a/b/../b")
        try symbolicLink(deep.appending("back"), to: "../../up/./file")
        try symbolicLink(directory.file("whole"), to: deep.string)
        for way in ["up/back", "whole/file", "a/../a/./b/file", "up/../b/file"] {
            let path = FilePath(directory.path.string + "/" + way)
            #expect(try TrustedPath(path).path == file, "\(way)")
            #expect(try TrustedPath(path).path == Files.resolve(path), "\(way)")
        }
        #expect(try TrustedPath("/../..").path == "/")
        #expect(try TrustedPath("/proc/self/cwd").path == TrustedPath(".").path)
    }

    @Test("What isn't there, goes round, or goes on behind a file fails as in the kernel")
    func fails() throws {
        try symbolicLink(directory.file("round"), to: "round")
        try OwnedDescriptor.create(directory.file("file")).close()
        for (name, code) in [
            ("missing", Errno.noSuchFileOrDirectory), ("round", .tooManySymbolicLinkLevels),
            ("file/below", .notDirectory),
        ] {
            let error = #expect(throws: SystemError.self) {
                try TrustedPath(FilePath(directory.path.string + "/" + name))
            }
            #expect(error?.errno == code)
            #expect(error?.refusal == nil)
        }
    }

    @Test(
        "A directory on the way that others may write to is refused and named, behind a link, too",
        arguments: [0o777, 0o775, 0o757, 0o722] as [mode_t])
    func writable(mode: mode_t) throws {
        let open = try make("open")
        let inner = try make("open", "inner")
        try setMode(open, mode)
        refuses(inner, at: open, saying: "chmod go-w")
        refuses(open, at: open, saying: "others may write")
        try symbolicLink(directory.file("link"), to: inner.string)
        refuses(directory.file("link"), at: open, saying: "chmod go-w")
        #expect(throws: SystemError.self) { try Files.makeDirectory(inner.appending("new")) }
        #expect(try Files.list(inner) == [])
        try setMode(open, 0o755)
        try Files.makeDirectory(inner.appending("new"))
    }

    @Test("In everybody's sticky directory one's own is trusted, and it itself isn't")
    func sticky() throws {
        let shared = try make("shared")
        let own = try make("shared", "own")
        try setMode(shared, 0o1777)
        #expect(try TrustedPath.ours(own) == own)
        #expect(throws: SystemError.self) { try TrustedPath.ours(shared) }
        #expect(throws: SystemError.self) { try Files.makeDirectory(shared) }
        try Files.makeDirectory(shared.appending("new"))
    }

    @Test("What a stranger has put in the way is refused", .enabled(if: geteuid() == 0))
    func strangers() throws {
        let shared = try make("shared")
        let trap = try make("shared", "trap")
        try give(trap, to: Self.stranger)
        // Not root's, though nobody else may write.
        refuses(trap, at: trap, saying: "another user's")
        refuses(try make("shared", "trap").appending("x"), at: trap, saying: "another user's")
        // A link in a directory where he may make one.
        try setMode(shared, 0o1777)
        let link = shared.appending("link")
        try symbolicLink(link, to: directory.path.string)
        _ = try TrustedPath(link)
        try give(link, to: Self.stranger)
        refuses(link, at: link, saying: "in a directory that others may write to")
        #expect(throws: SystemError.self) { try Files.makeDirectory(link.appending("new")) }
        #expect(!Files.exists(directory.file("new")))
    }

    @Test(
        "A file's own owner may have the directories around it, but not in everybody's",
        .enabled(if: geteuid() == 0))
    func owners() throws {
        let home = try make("home")
        let file = home.appending("file")
        try OwnedDescriptor.create(file).close()
        for path in [file, home] { try give(path, to: Self.stranger) }
        _ = try TrustedPath(file, trusting: Self.stranger)
        refuses(file, at: home, saying: "another user's")
        // His own directory, and a file of root's that he can replace.
        try give(file, to: 0)
        refuses(file, at: home, saying: "another user's")
        // What anybody may have put there first is his only.
        try give(home, to: 0)
        try give(file, to: Self.stranger)
        try setMode(home, 0o1777)
        #expect(throws: SystemError.self) { try TrustedPath(file, trusting: Self.stranger) }
    }

    @Test("A descriptor's name leads to what is open, with a name or without")
    func descriptors() throws {
        let ends = try FileDescriptor.pipe()
        defer {
            try? ends.readEnd.close()
            try? ends.writeEnd.close()
        }
        let name = FilePath("/dev/fd/\(ends.readEnd.rawValue)")
        let there = try TrustedPath(name)
        #expect(there.path == FilePath("/proc/\(getpid())/fd/\(ends.readEnd.rawValue)"))
        #expect(there.status.inode == (try FileStatus(name)).inode)
        // A directory is walked to by its name, and looked at.
        let open = try make("open")
        let inner = try make("open", "inner")
        try setMode(open, 0o777)
        let held = try FileDescriptor.open(inner, .readOnly)
        defer { try? held.close() }
        refuses(FilePath("/dev/fd/\(held.rawValue)"), at: open, saying: "chmod go-w")
    }

    @Test("A FIFO in a file's place is not waited for")
    func fifo() throws {
        try makePipe(directory.file("fifo"))
        #expect(throws: SystemError.self) { try Files.read(directory.file("fifo")) }
    }
}

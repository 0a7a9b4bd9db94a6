import Block
import Glibc
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Directories that others than root could have changed, and records that nobody wrote.
@Suite struct TrustedDirectoryTests {
    private func refuses(
        _ path: FilePath, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () throws -> Void
    ) {
        let error = #expect(throws: SessionsError.self, sourceLocation: sourceLocation) {
            try body()
        }
        #expect(
            error?.description.hasPrefix("\(path): others may write") == true,
            "\(error?.description ?? "")", sourceLocation: sourceLocation)
        #expect(error?.exitStatus == .usage, sourceLocation: sourceLocation)
    }

    @Test("A sessions' directory behind a symbolic link is that directory, now and later")
    func link() throws {
        let world = try World()
        let elsewhere = world.layout.runDirectory.removingLastComponent().appending("elsewhere")
        try Files.makeDirectory(elsewhere)
        let base = world.layout.defaultSessions
        try Files.removeDirectory(base)
        try symbolicLink(base, to: elsewhere)
        let activation = try world.activate(world.disk())
        #expect(activation.base.path.path == elsewhere)
        let name = try world.session()
        #expect(try world.sessions().map(\.record.name.text) == [name])
        _ = try world.service().restore(RestoreRequest(session: name))
    }

    @Test("Nothing is activated with a sessions' directory that others may reach into")
    func base() throws {
        let world = try World()
        let base = world.layout.defaultSessions
        let disk = try world.disk()
        for step in [base, base.removingLastComponent()] {
            let mode = try FileStatus(step).permissions
            try setMode(step, 0o777)
            refuses(step) { try world.activate(disk) }
            #expect(world.kernel.remains == [])
            try setMode(step, mode)
        }
        try world.activate(disk)
    }

    @Test("Sessions in a directory that others may write to are said, not used, until it is mended")
    func opened() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let name = try world.session()
        let base = world.layout.defaultSessions
        try setMode(base, 0o777)
        refuses(base) { _ = try world.service().restore(RestoreRequest(session: name)) }
        let listed = try world.service().sessions()
        #expect(listed.count == 1)
        refuses(base) { _ = try listed[0].get() }
        // No store is made there; the one there is goes on.
        try world.mount()
        try world.scribble()
        refuses(base) { try world.unmount() }
        try setMode(base, 0o700)
        _ = try world.service().rollOver(world.activation().id)
        #expect(try world.sessions().count == 2)
        _ = try world.service().restore(RestoreRequest(session: name))
        try check(world)
    }

    @Test("A session's directory that others may write to harms that session alone")
    func session() throws {
        let world = try World()
        try world.activate(world.disk())
        let names = [try world.session(), try world.session()]
        let directory = world.layout.defaultSessions.appending(names[0])
        try setMode(directory, 0o777)
        refuses(directory) {
            _ = try world.service().restore(RestoreRequest(session: names[0]))
        }
        _ = try world.service().restore(RestoreRequest(session: names[1]))
    }

    @Test(
        "The device that a stranger's session names is no target, and nothing beside it is trusted",
        .enabled(if: geteuid() == 0))
    func stranger() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let names = [try world.session(), try world.session()]
        try world.service().deactivate(disk.string)
        let home = world.layout.runDirectory.removingLastComponent().appending("home")
        try Files.makeDirectory(home)
        let moved = names.map { home.appending($0) }
        for (name, path) in zip(names, moved) {
            try Files.rename(world.layout.defaultSessions.appending(name), to: path)
            guard (unsafe path.withPlatformString { unsafe chown($0, 65534, 0) }) == 0 else {
                throw Errno(rawValue: errno)
            }
        }
        let before = try world.kernel.bytes(of: disk)
        var error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: moved[0].string))
        }
        #expect(error?.description.contains("--device") == true)
        // The later session is beside it, and is his as well.
        var request = RestoreRequest(session: moved[0].string)
        request.device = disk.string
        error = #expect(throws: SessionsError.self) { try world.service().restore(request) }
        #expect(error?.exitStatus == .damaged)
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    @Test("A registry, and a configuration, that others could have written are refused")
    func state() throws {
        let world = try World()
        try world.activate(world.disk())
        let state = world.layout.stateDirectory
        try setMode(state, 0o777)
        refuses(state) { _ = try world.service().status() }
        try setMode(state, 0o700)
        let run = world.layout.runDirectory
        try setMode(run, 0o777)
        refuses(run) { try world.session() }
        try setMode(run, 0o700)
        let path = world.layout.configuration
        try Files.makeDirectory(path.removingLastComponent())
        try Files.replace(path, with: Array("[store]\n".utf8))
        try setMode(path, 0o666)
        let error = #expect(throws: SessionsError.self) { try world.service() }
        #expect(error?.description.contains("others may write") == true)
        #expect(error?.exitStatus == .usage)
    }

    @Test(
        "A record with numbers that nobody wrote is damaged, and harms itself alone",
        arguments: [
            ("index", "9223372036854775807"), ("index", "-1"), ("store", "-9223372036854775808"),
            ("size", "18446744073709551615"), ("chunkSize", "0"), ("chunkSize", "1000"),
            ("version", "2"),
        ])
    func record(key: String, number: String) throws {
        let world = try World()
        try world.activate(world.disk())
        let names = [try world.session(), try world.session()]
        let record = world.layout.defaultSessions.appending(names[0]).appending("session.json")
        let text = String(decoding: try Files.read(record), as: UTF8.self)
        // The first of that name at the top: sorted keys, and two spaces.
        let expression = try Regex("\n  \"\(key)\" : [0-9]+")
        let line = "\n  \"\(key)\" : \(number)"
        let other = text.replacing(expression, with: line, maxReplacements: 1)
        #expect(other != text)
        try Files.replace(record, with: Array(other.utf8))
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: names[0]))
        }
        #expect(error?.exitStatus == .damaged)
        #expect(error?.description.contains("\(record): ") == true)
        #expect(error?.description.contains(key) == true)
        _ = try world.service().restore(RestoreRequest(session: names[1]))
    }

    @Test(
        "A registry with numbers, or names of files, that nobody wrote is damaged",
        arguments: [
            ("id", "\"../../../etc/x\""), ("id", "\"\""), ("name", "\"a/b\""), ("size", "0"),
            ("sector", "7"), ("chunkSize", "3"), ("index", "9223372036854775807"),
            ("number", "9223372036854775807"),
        ])
    func registry(key: String, value: String) throws {
        let world = try World()
        try world.activate(world.disk())
        let path = world.layout.registry
        let text = String(decoding: try Files.read(path), as: UTF8.self)
        let id = try world.activation().id
        // The chain has an id, too.
        let old = key == "id" ? "\"id\" : \"\(id)\"" : "\"\(key)\" : ([0-9]+|\"sda\")"
        let other = text.replacing(
            try Regex(old), with: "\"\(key)\" : \(value)", maxReplacements: key == "id" ? 9 : 1)
        #expect(other != text)
        try Files.replace(path, with: Array(other.utf8))
        let error = #expect(throws: SessionsError.self) { try world.service().activations() }
        #expect(error?.exitStatus == .damaged)
        #expect(error?.description.contains("\(path): ") == true)
        #expect(try Files.read(path) == Array(other.utf8))
    }

    @Test("A FIFO in a record's place is not waited for")
    func fifo() throws {
        let world = try World()
        let moved = world.layout.runDirectory.removingLastComponent().appending("moved")
        try Files.makeDirectory(moved)
        let made = unsafe moved.appending("session.json").withPlatformString {
            unsafe mkfifo($0, 0o600)
        }
        #expect(made == 0)
        #expect(throws: SessionsError.self) { try world.service().session(named: moved.string) }
    }
}

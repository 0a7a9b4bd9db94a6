import Block
import KernelSimulation
import Restore
import SessionArchive
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ArchiveTests {
    /// A disk or an image with two sessions; its contents before each, and after the last.
    private func chain(
        isImage: Bool = false
    ) throws -> (world: World, path: FilePath, names: [String], states: [[UInt8]]) {
        let world = try World()
        let path = try isImage ? world.image() : world.disk()
        try world.activate(path)
        var names: [String] = []
        var states = [try world.kernel.bytes(of: path)]
        for _ in 0..<2 {
            names.append(try world.session())
            states.append(try world.kernel.bytes(of: path))
        }
        return (world, path, names, states)
    }

    private func archiveAll(_ world: World) throws {
        let service = try world.service()
        for session in try service.archiver.unarchived() { try service.archiver.archive(session) }
    }

    private func directory(_ world: World, _ name: String) -> FilePath {
        world.layout.defaultSessions.appending(name)
    }

    private func refusal(
        _ world: World, _ request: RestoreRequest, _ path: FilePath
    ) throws -> SessionsError? {
        let before = try world.kernel.bytes(of: path)
        let error = #expect(throws: SessionsError.self) { try world.service().restore(request) }
        #expect(try world.kernel.bytes(of: path) == before)
        return error
    }

    @Test("An archived session has no store any more, and restores as before")
    func whole() throws {
        let (world, path, names, states) = try chain()
        try archiveAll(world)
        for name in names {
            let files = try Files.list(directory(world, name)).sorted()
            #expect(files == ["chunks.dmsz", "session.json"])
        }
        let service = try world.service()
        #expect(try service.archiver.unarchived().isEmpty)
        let summaries = try world.sessions().map { service.summary(of: $0) }
        #expect(summaries.map(\.state) == [.archived, .archived])
        #expect(summaries.map(\.complete) == [true, true])
        let verified = try service.verify(names[0])
        #expect(verified.chain.map(\.text) == names)
        _ = try service.restore(RestoreRequest(session: names[0]))
        #expect(try world.kernel.bytes(of: path) == states[0])
        try check(world)
    }

    @Test("Archives and stores are restored from together")
    func mixed() throws {
        let (world, path, names, states) = try chain()
        let service = try world.service()
        let first = try #require(service.archiver.unarchived().first)
        #expect(first.record.name.text == names[0])
        try service.archiver.archive(first)
        _ = try service.restore(RestoreRequest(session: names[0]))
        #expect(try world.kernel.bytes(of: path) == states[0])
    }

    @Test("An open session, an invalid one, and one whose exchange isn't over are left alone")
    func notDue() throws {
        let (world, _, names, _) = try chain()
        try world.mount()
        try world.scribble()
        let service = try world.service()
        #expect(try service.archiver.unarchived().map(\.record.name.text) == names)
        let session = try service.session(named: names[0])
        try service.lifecycle.catalogue.change(session) { $0.state = .invalid }
        #expect(try service.archiver.unarchived().map(\.record.name.text) == [names[1]])
        // As after a crash before the registry's change.
        let last = try service.session(named: names[1])
        try service.lifecycle.registry.change(world.activation().id) {
            $0.store = Store(number: last.record.store, baseline: $0.store.baseline)
        }
        #expect(try service.archiver.unarchived().isEmpty)
        try service.archiver.archive(last)
        #expect(Files.exists(Layout.store(in: last.directory)))
    }

    @Test("One flipped bit in an archive is found before anything is written")
    func damage() throws {
        let (world, path, names, _) = try chain()
        try archiveAll(world)
        let archive = Layout.archive(in: directory(world, names[1]))
        let size = try FileStatus(archive).size.bytes
        for offset in stride(from: UInt64(0), to: size, by: 97) {
            let byte = try OwnedDescriptor.open(archive, .readOnly).read(count: 1, at: offset)[0]
            try TemporaryDirectory.patch(archive, at: Int64(offset), [byte ^ 4])
            let error = try refusal(world, RestoreRequest(session: names[0]), path)
            #expect(error?.exitStatus == .damaged, "byte \(offset): \(String(describing: error))")
            _ = #expect(throws: SessionsError.self) { try world.service().verify(names[0]) }
            try TemporaryDirectory.patch(archive, at: Int64(offset), [byte])
        }
        _ = try world.service().verify(names[0])
    }

    @Test("A good archive of another session is refused")
    func stranger() throws {
        let (world, path, names, _) = try chain()
        try archiveAll(world)
        let other = try Files.read(Layout.archive(in: directory(world, names[0])))
        try Files.replace(Layout.archive(in: directory(world, names[1])), with: other)
        let error = try refusal(world, RestoreRequest(session: names[0]), path)
        #expect(error?.exitStatus == .damaged)
        #expect(error?.description.contains("another session") == true)
    }

    @Test("A store is given up only beside a good archive")
    func onlyCopy() throws {
        let (world, _, names, _) = try chain()
        let service = try world.service()
        let session = try service.session(named: names[0])
        // The record of a crash says so, and somebody has damaged the archive since.
        try service.lifecycle.catalogue.change(session) { $0.state = .archived }
        try Files.replace(Layout.archive(in: session.directory), with: [1, 2, 3])
        let marked = try #require(service.archiver.unarchived().first)
        #expect(throws: SessionsError.self) { try service.archiver.archive(marked) }
        #expect(Files.exists(Layout.store(in: session.directory)))
        _ = try service.verify(names[0])
    }

    @Test("Stopped, making an archive leaves the store and nothing else")
    func stopped() throws {
        let (world, _, names, _) = try chain()
        let service = try world.service()
        let session = try service.session(named: names[0])
        let error = #expect(throws: SessionsError.self) {
            try service.archiver.archive(session, control: ArchiveControl(isCancelled: { true }))
        }
        guard case .archiveStopped = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let files = try Files.list(session.directory).sorted()
        #expect(files == ["session.json", "store"])
        #expect(try service.session(named: names[0]).record.state == .closed)
    }

    @Test("An archive file by itself restores an image that is as its session left it")
    func alone() throws {
        let (world, path, names, states) = try chain(isImage: true)
        try archiveAll(world)
        try world.service().deactivate(path.string)
        let archive = world.directory.path.appending("kept.dmsz")
        try Files.replace(
            archive, with: Files.read(Layout.archive(in: directory(world, names[1]))))
        for name in names { try Files.removeDirectory(directory(world, name)) }

        var request = RestoreRequest(session: archive.string)
        // What it says of its device is its author's word.
        #expect(try world.service().restoreError(archive.string)?.exitStatus == .usage)
        #expect(try world.kernel.bytes(of: path) == states[2])
        request.device = path.string
        let outcome = try world.service().restore(request)
        #expect(outcome.chain.map(\.text) == [names[1]])
        #expect(try world.kernel.bytes(of: path) == states[1])
        #expect(!Files.exists(archive.appendingSuffix(".restoring")))
        // It is not as the session left it any more.
        let error = try refusal(world, request, path)
        #expect(error?.exitStatus == .damaged)
        // A copy of what it was is.
        let copy = try world.directory.file("copy.img", states[2])
        request.device = copy.string
        _ = try world.service().restore(request)
        #expect(try Files.read(copy) == states[1])
    }

    @Test("A file that is no archive, or another kind of archive, is no session")
    func noArchive() throws {
        let world = try World()
        let file = try world.directory.file("something", [1, 2, 3])
        let error = #expect(throws: SessionsError.self) {
            try world.service().session(named: file.string)
        }
        #expect(error?.exitStatus == .damaged)
    }

    @Test("Sessions that were moved elsewhere together are one chain there")
    func moved() throws {
        let (world, path, names, states) = try chain(isImage: true)
        try world.service().deactivate(path.string)
        let elsewhere = world.directory.path.appending("elsewhere")
        try Files.makeDirectory(elsewhere)
        for name in names {
            try Files.rename(directory(world, name), to: elsewhere.appending(name))
        }
        let outcome = try world.service().restore(
            RestoreRequest(session: elsewhere.appending(names[0]).string))
        #expect(outcome.chain.map(\.text) == names)
        #expect(try world.kernel.bytes(of: path) == states[0])
    }
}

import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct RegistryTests {
    @Test("What is registered is read back as it was")
    func roundTrip() throws {
        let world = try World()
        let first = try world.activate(world.disk())
        let second = try world.activate(world.image("a \"disk\"\n.img"))
        #expect(try world.service().activations() == [first, second])
        #expect(try FileStatus(world.layout.registry).permissions == 0o600)
        let before = try FileStatus(world.layout.registry).inode
        try world.service().lifecycle.registry.change(first.id) { _ in }
        #expect(try FileStatus(world.layout.registry).inode == before, "written without a change")
    }

    @Test("The rule finds the size of every activated disk, and of nothing else")
    func claimedSizes() throws {
        let world = try World()
        let sizes = world.layout.claimedSizes
        #expect(!Files.exists(sizes), "the rule asks about every device as long as it isn't there")
        let disk = try world.activate(world.disk())
        let name = "\(disk.size.bytes / 512)"
        #expect(try Files.list(sizes) == [name])
        try world.activate(world.image())
        #expect(try Files.list(sizes) == [name])

        // What an earlier version, or a crash, has left is put right by the next change.
        for remains in [[], ["8"], [name, "8"]] {
            try Files.removeDirectory(sizes)
            try Files.makeDirectory(sizes)
            for one in remains { try Files.replace(sizes.appending(one), with: []) }
            try world.service().lifecycle.registry.change(disk.id) {
                $0.isLeaving = $0.isLeaving == nil ? true : nil
            }
            #expect(try Files.list(sizes) == [name], "\(remains)")
        }
        try world.service().deactivate(disk.path.text)
        #expect(try Files.list(sizes) == [])
    }

    @Test("Without a file nothing is activated")
    func missing() throws {
        #expect(try World().service().activations().isEmpty)
    }

    @Test(
        "A damaged registry is refused with its path, and never replaced",
        arguments: ["", "{", "[]", "{\"version\": 1}", "{\"version\": \"1\"}", "null", "\u{0}"])
    func damaged(text: String) throws {
        let world = try World()
        let disk = try world.disk()
        try Files.makeDirectory(world.layout.stateDirectory)
        try Files.replace(world.layout.registry, with: Array(text.utf8))
        for attempt in [
            { try world.activate(disk) }, { _ = try world.service().status() },
            { try world.service().deactivate(disk.string) },
        ] as [() throws -> Void] {
            let error = #expect(throws: SessionsError.self) { try attempt() }
            #expect(error?.exitStatus == .damaged)
            #expect(error?.description.hasPrefix(world.layout.registry.string) == true)
        }
        #expect(try Files.read(world.layout.registry) == Array(text.utf8))
        #expect(world.kernel.remains == [])
    }

    @Test("A registry of another version is refused with both versions")
    func version() throws {
        let world = try World()
        try world.activate(world.disk())
        let text = String(decoding: try Files.read(world.layout.registry), as: UTF8.self)
        let other = text.replacing("\"version\" : 2", with: "\"version\" : 3")
        #expect(other != text)
        try Files.replace(world.layout.registry, with: Array(other.utf8))
        let error = #expect(throws: SessionsError.self) { try world.service().activations() }
        #expect(error?.description.contains("version is 3") == true)
        #expect(error?.exitStatus == .damaged)
    }

    @Test("A session with a damaged record is reported, and the others are listed")
    func damagedSession() throws {
        let world = try World()
        try world.activate(world.disk())
        let names = [try world.session(), try world.session()]
        let record = world.layout.defaultSessions.appending(names[0]).appending("session.json")
        try Files.replace(record, with: Array("{}".utf8))
        let results = try world.service().sessions()
        #expect(results.count == 2)
        #expect(results.compactMap { try? $0.get().record.name.text } == [names[1]])
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: names[0]))
        }
        #expect(error?.description.contains(record.string) == true)
        #expect(error?.exitStatus == .damaged)
        // It harms itself alone.
        _ = try world.service().restore(RestoreRequest(session: names[1]))
    }

    @Test("A change that throws changes nothing")
    func atomic() throws {
        let world = try World()
        let activation = try world.activate(world.disk())
        #expect(throws: SessionsError.self) {
            try world.service().lifecycle.registry.change(activation.id) {
                current throws(SessionsError) in
                current.store.invalidate("no")
                throw .internalFault("no")
            }
        }
        #expect(try world.activation().store.health == .sound)
        #expect(throws: SessionsError.self) {
            try world.service().lifecycle.registry.change("another") { _ in }
        }
    }
}

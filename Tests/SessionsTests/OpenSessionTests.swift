import Block
import DeviceMapper
import FoundationEssentials
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct OpenSessionTests {
    @Test("Opening a session touches no table: it only names the store that captures already")
    func noTable() throws {
        let world = try World()
        let activation = try world.activate(world.image("my disk.img"))
        try world.kernel.mount(world.origin())
        try world.scribble()
        let calls = world.kernel.calls
        let name = try #require(DeviceName(try world.origin())).escaped
        guard case .opened(let session) = try world.service().openSession(name) else {
            throw Unexpected("no session")
        }
        #expect(world.kernel.calls == calls)
        #expect(session.text.hasPrefix(activation.sessionPrefix.text + "_2026"))
        let directory = world.layout.defaultSessions.appending(session.text)
        #expect(try Files.list(directory) == ["session.json", "store"])
        #expect(try FileStatus(directory).permissions == 0o700)
        #expect(try FileStatus(directory.appending("session.json")).permissions == 0o600)
        #expect(try FileStatus(directory.appending("store")).permissions == 0o600)
        try check(world)
    }

    @Test("Sessions in one second get names of their own")
    func sameSecond() throws {
        let world = try World()
        world.kernel.tick = 0
        try world.activate(world.disk())
        let names = try (0..<3).map { _ in try world.session() }
        #expect(
            names == [
                "sda_20261124T103855Z", "sda_20261124T103855Z-2", "sda_20261124T103855Z-3",
            ])
        let last = try #require(names.last)
        let before = try world.kernel.bytes(of: world.kernel.blockDevices()[0])
        try world.scribble()
        #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) != before)
        _ = try world.service().restore(RestoreRequest(session: last))
    }

    @Test("While the store is being exchanged the session comes later")
    func later() throws {
        let world = try World()
        let activation = try world.activate(world.disk())
        try world.service().lifecycle.registry.change(activation.id) {
            current throws(SessionsError) in
            try current.beginExchange(
                to: Store(number: 2, baseline: current.store.baseline), held: nil)
        }
        guard case .later = try world.service().openSession("dmsnap-sda") else {
            throw Unexpected("a session")
        }
    }

    @Test("An event that comes when its mount is over names no other store")
    func late() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let before = try world.kernel.bytes(of: disk)
        let name = try world.origin()
        // The monitor closes what nobody has named before the rule's process comes to it.
        try world.kernel.mount(name)
        try world.scribble()
        world.kernel.unmount(name)
        _ = try world.service().rollOver(world.activation().id)
        guard case .over = try world.service().openSession(name) else {
            throw Unexpected("a session")
        }
        let session = try #require(try world.sessions().first)
        #expect(try world.sessions().count == 1)
        _ = try world.service().restore(RestoreRequest(session: session.record.name))
        #expect(try world.kernel.bytes(of: disk) == before)
        // What is still in the store is that mount's.
        try world.kernel.mount(name)
        try world.scribble()
        world.kernel.unmount(name)
        guard case .opened = try world.service().openSession(name) else {
            throw Unexpected("no session")
        }
    }

    @Test("A device that isn't activated opens none")
    func none() throws {
        let world = try World()
        let disk = try world.disk()
        #expect(throws: SessionsError.self) { try world.service().openSession("dmsnap-sda") }
        #expect(throws: SessionsError.self) { try world.service().openSession(disk.string) }
    }
}

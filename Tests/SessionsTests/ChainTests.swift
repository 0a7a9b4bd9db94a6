import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ChainTests {
    private func indices(_ world: World) throws -> [Int] {
        try world.sessions().map(\.record.index)
    }

    @Test("Sessions of one activation follow each other in one chain, offline ones included")
    func order() throws {
        let world = try World()
        try world.activate(world.disk())
        try world.session()
        try world.scribble()
        _ = try world.service().rollOver(world.activation().id)
        try world.session()
        let sessions = try world.sessions()
        #expect(sessions.map(\.record.index) == [0, 1, 2])
        #expect(sessions.map(\.record.kind) == [.mount, .offline, .mount])
        #expect(Set(sessions.map(\.record.chain)).count == 1)
        try check(world)
    }

    @Test("Activated again and unchanged, a device goes on with its chain")
    func continued() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.session()
        try world.service().deactivate(disk.string)
        try world.activate(disk)
        try world.session()
        #expect(try indices(world) == [0, 1])
        #expect(Set(try world.sessions().map(\.record.chain)).count == 1)
    }

    @Test("Written to while it was not activated, a device starts a new chain")
    func broken() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let first = try world.session()
        try world.service().deactivate(disk.string)
        try TemporaryDirectory.patch(disk, at: 512, [1, 2, 3])
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: first))
        }
        #expect(error?.exitStatus == .damaged)
        #expect(error?.description.contains("--accept-writes") == true)
        try world.activate(disk)
        try world.session()
        #expect(Set(try world.sessions().map(\.record.chain)).count == 2)
        #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: first))
        }
    }

    @Test("A copy of a disk doesn't go on with the disk's chain", arguments: [true, false])
    func copies(isSimultaneous: Bool) throws {
        let world = try World()
        let disk = try world.disk("sda", hardware: [])
        try world.activate(disk)
        try world.session()
        try world.service().deactivate(disk.string)
        let copy = try world.kernel.addDisk("sdb", world.kernel.bytes(of: disk), hardware: [])
        if isSimultaneous { try world.activate(disk) }
        let other = try world.activate(copy)
        #expect(other.chain.index == 0)
        #expect(try other.chain.id != world.sessions().first?.record.chain)
    }

    @Test("What is written past the origin into an armed store's device breaks the chain at once")
    func pastArmed() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let first = try world.session()
        try world.service().observer.markBroken(world.activation().id, "something wrote to it")
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: first))
        }
        #expect(error?.exitStatus == .damaged)
        // The break is remembered where the fingerprint shows nothing.
        try world.service().deactivate(disk.string)
        #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: first))
        }
        #expect(try world.activate(disk).chain.index == 0)
    }

    @Test(
        "What is written past the origin during a session breaks the chain there",
        arguments: [true, false])
    func pastOpen(isEmpty: Bool) throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let first = try world.session()
        try world.mount()
        if !isEmpty { try world.scribble() }
        try world.service().observer.markBroken(world.activation().id, "something wrote to it")
        try world.unmount()
        for name in try world.sessions().map(\.record.name) {
            #expect(throws: SessionsError.self, "\(name)") {
                try world.service().restore(RestoreRequest(session: name))
            }
        }
        try world.service().deactivate(disk.string)
        #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: first))
        }
        try check(world)
    }
}

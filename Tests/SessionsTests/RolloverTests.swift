import Block
import DeviceMapper
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct RolloverTests {
    private func armed() throws -> World {
        let world = try World()
        try world.activate(world.disk())
        return world
    }

    @Test(
        "The next store is loaded before, and takes the old one's place in, one suspend of the origin"
    )
    func order() throws {
        let world = try armed()
        try world.mount()
        try world.scribble()
        let before = world.kernel.calls.count
        try world.unmount()
        #expect(
            world.kernel.calls[before...] == [
                "attachLoop loop1", "create dmsnapcow-sda-2", "load dmsnapcow-sda-2",
                "suspend dmsnap-sda", "resume dmsnapcow-sda-2", "remove dmsnapcow-sda-1",
                "resume dmsnap-sda", "detachLoop loop0",
            ])
        try check(world)
    }

    @Test("In whatever step of an exchange one asks, a device is armed or open, and never missing")
    func status() throws {
        func mounted() throws -> World {
            let world = try armed()
            try world.mount()
            try world.scribble()
            try world.kernel.unmount(world.origin())
            return world
        }
        func end(_ world: World) throws {
            _ = try world.service().rollOver(world.activation().id)
        }
        let whole = try mounted()
        let steps = try Steps.counting { try end(whole) }.changes
        #expect(steps > 10)
        for step in 1...steps {
            let world = try mounted()
            let last = Steps.dying(before: step) { try end(world) }
            let status = try #require(try world.service().status().first)
            #expect([.armed, .open].contains(status.state), "before \(last): \(status.state)")
            #expect(status.warning == nil, "before \(last)")
        }
    }

    @Test("Every chunk of a write that is much larger than a chunk is kept, in every session")
    func largeWrites() throws {
        let world = try armed()
        for _ in 0..<3 {
            let before = try world.kernel.bytes(of: world.kernel.blockDevices()[0])
            try world.mount()
            try world.kernel.write(
                world.generator.bytes(60 << 10), at: 1024, to: world.origin())
            guard case .closed(let session) = try world.unmount() else {
                throw Unexpected("no session")
            }
            #expect(session.record.chunks == 60)
            _ = try world.service().restore(RestoreRequest(session: session.record.name))
            #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) == before)
        }
    }

    @Test("A mount that comes inside the suspend leaves its session as it is, and nothing behind")
    func mountInside() throws {
        let world = try armed()
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        try world.scribble()
        let activation = try world.activation()
        let origin = try world.origin()
        world.kernel.unmount(origin)
        world.kernel.whenSuspended = { try? world.kernel.mount($0, at: "/again") }
        guard case .inUse = try world.service().rollOver(activation.id) else {
            throw Unexpected("an exchange under a mount")
        }
        world.kernel.whenSuspended = { _ in }
        #expect(try world.activation().session == name)
        #expect(try world.activation().store == activation.store)
        try check(world)
        try world.scribble()
        guard case .closed = try world.unmount() else { throw Unexpected("no session") }
        try check(world)
    }

    @Test("A write that comes just before the suspend stops the exchange, too")
    func writeBefore() throws {
        let world = try armed()
        try world.scribble(1)
        let activation = try world.activation()
        var isFirst = true
        // What was let go of before the suspend had been written before it.
        world.kernel.whenSuspended = { name in
            guard isFirst else { return }
            isFirst = false
            try? world.kernel.captureLate(name, at: 63 << 10)
        }
        guard case .inUse = try world.service().rollOver(activation.id) else {
            throw Unexpected("an exchange")
        }
        try check(world)
        guard case .closed = try world.service().rollOver(activation.id) else {
            throw Unexpected("no exchange")
        }
        try check(world)
    }

    @Test(
        "A write to a chunk that the store had already, just before the suspend, stops the exchange",
        arguments: [true, false])
    func writeUnseen(isCounted: Bool) throws {
        let world = try armed()
        world.kernel.countsWrites = isCounted
        var isFirst = true
        let disk = world.kernel.blockDevices()[0]
        try world.kernel.write([1], at: 0, to: world.origin())
        // No status shows it, and nobody has the device open any more.
        world.kernel.whenSuspended = { name in
            guard isFirst else { return }
            isFirst = false
            world.kernel.number(ofMapped: name).map { world.kernel.writes[$0, default: 0] += 1 }
            if !isCounted { try? TemporaryDirectory.patch(disk, at: 512, [7]) }
        }
        guard case .inUse = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("an exchange")
        }
        try check(world)
        guard case .closed = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("no session")
        }
        world.kernel.whenSuspended = { _ in }
        try world.service().deactivate(disk.string)
        // The chain goes on: the device is as the session left it.
        #expect(try world.activate(disk).chain.index == 1)
    }

    @Test("With nothing written and no session there is nothing to exchange")
    func nothing() throws {
        let world = try armed()
        let calls = world.kernel.calls
        guard case .nothingToDo = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("an exchange")
        }
        #expect(world.kernel.calls == calls)
    }

    @Test("While a program has the device open nothing is exchanged, and nobody waits for it")
    func inUse() throws {
        let world = try armed()
        try world.scribble()
        try world.kernel.setPrograms(1, on: world.origin())
        world.kernel.whenPaused = { Issue.record("waited") }
        guard case .inUse = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("an exchange")
        }
        try check(world)
    }

    @Test(
        "Programs that only read glue no two mounts together; one that may write does, and a mount in between"
    )
    func readers() throws {
        let world = try armed()
        let origin = try world.origin()
        func over(_ programs: Int, _ readers: Int) throws -> RolloverOutcome {
            try world.mount()
            try world.scribble()
            world.kernel.setPrograms(programs, readers: readers, on: origin)
            return try world.unmount()
        }
        guard case .closed = try over(2, 2) else { throw Unexpected("not closed under readers") }
        guard case .inUse = try over(2, 1) else { throw Unexpected("closed under a writer") }
        // In the suspend a reader goes and a mount comes, or one comes beside it.
        world.kernel.setPrograms(1, readers: 1, on: origin)
        world.kernel.whenSuspended = { world.kernel.setPrograms(2, readers: 2, on: $0) }
        guard case .inUse = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("closed though somebody came")
        }
        world.kernel.whenSuspended = { _ in }
        guard case .closed = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("not closed under readers")
        }
        world.kernel.setPrograms(0, on: origin)
        #expect(try world.sessions().count == 2)
        try check(world)
    }

    @Test("A session without a write is dropped, and kept where the configuration says so")
    func empty() throws {
        let world = try armed()
        try world.mount()
        guard case .dropped = try world.unmount() else { throw Unexpected("a session") }
        #expect(try world.sessions().isEmpty)
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try Files.replace(
            world.layout.configuration, with: Array("[sessions]\nkeep-empty = true\n".utf8))
        try world.mount()
        guard case .closed(let session) = try world.unmount() else { throw Unexpected("none") }
        #expect(session.record.chunks == 0)
        #expect(session.record.state == .closed)
        _ = try world.service().restore(RestoreRequest(session: session.record.name))
        try check(world)
    }

    @Test("A second mount while the first goes on opens no second session")
    func twoMounts() throws {
        let world = try armed()
        guard case .opened(let first) = try world.mount(at: "/a"),
            case .alreadyOpen(let second) = try world.mount(at: "/b")
        else { throw Unexpected("other openings") }
        #expect(first == second)
        guard case .inUse = try world.unmount() else { throw Unexpected("an exchange") }
        try world.scribble()
        guard case .closed(let session) = try world.unmount() else { throw Unexpected("none") }
        #expect(session.record.mountPoint == "/a")
        #expect(session.record.fileSystem == "ext4")
    }

    @Test("An exchange that another loop device over the image stands beside takes the right one")
    func strangeLoop() throws {
        let world = try World()
        let image = try world.image()
        // The lowest numbers are somebody else's for a while.
        let other = try world.directory.file("other", [UInt8](repeating: 1, count: 4096))
        try world.kernel.attachByHand(other, as: 0)
        try world.activate(image)
        try world.service().lifecycle.kernel.detachLoop(world.kernel.nodeOfLoop(0))
        let before = try world.kernel.bytes(of: image)
        try world.session()
        try world.kernel.attachByHand(image, as: 0)
        let first = try world.session()
        let middle = try world.kernel.bytes(of: image)
        let second = try world.session()
        _ = try world.service().restore(RestoreRequest(session: second))
        #expect(try world.kernel.bytes(of: image) == middle)
        _ = try world.service().restore(
            RestoreRequest(session: try world.sessions()[0].record.name))
        #expect(try world.kernel.bytes(of: image) == before)
        #expect(first != second)
        try world.service().deactivate(image.string)
        #expect(world.kernel.remains == ["loop0"])
    }

    @Test("The sessions' directory on the device itself is refused, and said")
    func ownFileSystem() throws {
        let world = try armed()
        try world.scribble()
        world.kernel.foundations = [try #require(world.kernel.number(ofMapped: "dmsnap-sda"))]
        let error = #expect(throws: SessionsError.self) {
            try world.service().rollOver(world.activation().id)
        }
        #expect(error?.description.contains("--store-dir") == true)
        world.kernel.foundations = []
        try check(world)
    }
}

import Block
import KernelSimulation
import SystemPackage
import Testing

@testable import Sessions

/// A session's end, and the next one's beginning, in the middle of a mount.
@Suite struct CheckpointTests {
    private func mounted(isImage: Bool = false) throws -> (world: World, path: FilePath) {
        let world = try World()
        let path = try isImage ? world.image() : world.disk()
        try world.activate(path)
        try world.mount()
        try world.scribble()
        return (world, path)
    }

    private func made(
        _ world: World, _ path: FilePath, label: String? = nil
    ) throws -> (name: SessionName, closed: Session?) {
        guard
            case .made(let name, let closed) = try world.service().checkpoint(
                path.string, label: label.flatMap { SessionLabel($0) })
        else { throw Unexpected("no checkpoint") }
        return (name, closed)
    }

    @Test("The mount goes on in a session of its own, and both restore", arguments: [false, true])
    func boundary(isImage: Bool) throws {
        let (world, path) = try mounted(isImage: isImage)
        let before = try world.kernel.bytes(of: path)
        let (name, closed) = try made(world, path, label: "before the upgrade")
        let sessions = try world.sessions()
        #expect(sessions.map(\.record.name) == [closed?.record.name, name])
        #expect(sessions.map(\.record.state) == [.closed, .open])
        #expect(sessions.map(\.record.kind) == [.mount, .checkpoint])
        #expect(sessions[1].record.label?.text == "before the upgrade")
        #expect(try world.activation().session == name)
        try check(world)
        try world.scribble()
        try world.unmount()
        let outcome = try world.service().restore(RestoreRequest(session: "before the upgrade"))
        #expect(outcome.isProven && outcome.conditions.isEmpty)
        #expect(try world.kernel.bytes(of: path) == before)
        try check(world)
        #expect(try world.service().restoreError(sessions[0].record.name.text) == nil)
    }

    @Test("Many in a row, and the machine stops after the last: each is found again")
    func many() throws {
        let (world, path) = try mounted()
        var states: [(name: SessionName, bytes: [UInt8])] = []
        for _ in 0..<5 {
            let bytes = try world.kernel.bytes(of: path)
            states.append((try made(world, path).name, bytes))
            try world.scribble(2)
        }
        world.kernel.reboot()
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        #expect(try world.sessions().count == 6)
        for state in states.reversed() {
            let outcome = try world.service().restore(RestoreRequest(session: state.name))
            #expect(outcome.isProven)
            #expect(try world.kernel.bytes(of: path) == state.bytes)
        }
        try check(world)
    }

    @Test("What freezing still writes is in the session that ends")
    func frozenWrites() throws {
        let (world, path) = try mounted()
        world.kernel.whenSuspended = { name in
            try? world.kernel.captureLate(name, at: 40 << 10)
        }
        let closed = try #require(try made(world, path).closed)
        #expect(closed.record.state == .closed && closed.record.loss == nil)
    }

    @Test("Without a write since the last one there is one session, not an empty one more")
    func empty() throws {
        let (world, path) = try mounted()
        _ = try made(world, path)
        #expect(try made(world, path).closed == nil)
        #expect(try world.sessions().map(\.record.state) == [.closed, .open])
        try check(world)
    }

    @Test(
        "Of a device that nobody uses there is nothing to take, and what was written is a session")
    func idle() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        guard case .idle(nil) = try world.service().checkpoint(disk.string) else {
            throw Unexpected("a checkpoint")
        }
        try world.scribble()
        guard case .idle(let closed?) = try world.service().checkpoint(disk.string) else {
            throw Unexpected("no session")
        }
        #expect(closed.record.kind == .offline)
        try check(world)
    }

    @Test("A use that nobody has opened a session for has one before the checkpoint")
    func unopened() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.kernel.mount(world.origin())
        try world.scribble()
        #expect(try made(world, disk).closed?.record.kind == .mount)
        try check(world)
    }

    @Test("What the kernel has dropped is told of, and what follows is whole")
    func dropped() throws {
        let (world, path) = try mounted()
        let store = try world.activation().store.number
        try world.kernel.invalidate("dmsnapcow-sda-\(store)")
        let before = try world.kernel.bytes(of: path)
        let (name, closed) = try made(world, path)
        #expect(closed?.record.state == .invalid)
        try world.scribble()
        try world.unmount()
        #expect(try world.service().restoreError(name.text) == nil)
        #expect(try world.kernel.bytes(of: path) == before)
    }

    @Test(
        "Refused: not activated, restored online, without room, looked at; and nothing is changed")
    func refused() throws {
        let (world, path) = try mounted()
        #expect(throws: SessionsError.self) { try world.service().checkpoint("/dev/none") }
        let before = world.kernel.remains
        let room = world.kernel.free
        world.kernel.free = ByteCount(1 << 20)
        let full = #expect(throws: SessionsError.self) {
            try world.service().checkpoint(path.string)
        }
        #expect(full?.exitStatus == .ioError)
        world.kernel.free = room
        let store = try world.activation().store.number
        world.kernel.setPrograms(1, on: "dmsnapcow-sda-\(store)")
        let held = #expect(throws: SessionsError.self) {
            try world.service().checkpoint(path.string)
        }
        #expect(held?.exitStatus == .busy)
        world.kernel.setPrograms(0, on: "dmsnapcow-sda-\(store)")
        #expect(world.kernel.remains == before)
        try check(world)
        try world.unmount()
        let name = try #require(world.sessions().first).record.name
        var request = RestoreRequest(session: name)
        request.online = true
        world.kernel.mergeSpeed = 0
        _ = try world.service().restore(request)
        let merging = #expect(throws: SessionsError.self) {
            try world.service().checkpoint(path.string)
        }
        #expect(merging?.exitStatus == .busy)
    }
}

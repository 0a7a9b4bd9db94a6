import KernelSimulation
import StoreTesting
import Testing

@testable import Monitor
@testable import Sessions

/// What the monitor does about an online restore.
@Suite struct OnlineTests {
    private func restoring() throws -> (watcher: Watcher, name: String, before: [UInt8]) {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let before = try world.kernel.bytes(of: disk)
        let name = try world.session(writes: 8)
        world.kernel.mergeSpeed = 0
        var request = RestoreRequest(session: name)
        request.online = true
        _ = try world.service().restore(request)
        return (try Watcher(world), name, before)
    }

    @Test("It looks every second, ends the restore, then makes the session that undoes it")
    func end() throws {
        let (watcher, name, before) = try restoring()
        let world = watcher.world
        for _ in 0..<3 { #expect(watcher.look() == .after(Reconciler.merging)) }
        #expect(try world.sessions().count == 1)
        #expect(watcher.said() == [])
        world.kernel.mergeSpeed = 100
        #expect(watcher.look() == .after(Reconciler.probing))
        #expect(watcher.said().first?.hasSuffix(": session \(name) is back") == true)
        watcher.look()
        #expect(try world.sessions().last?.record.restoreOf?.text == name)
        #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) == before)
        #expect(try world.faults() == [])
    }

    @Test("A mount meanwhile gets its session, which is closed only when all is back")
    func mount() throws {
        let (watcher, name, _) = try restoring()
        let world = watcher.world
        try world.kernel.mount("dmsnap-sda")
        watcher.look()
        #expect(watcher.words == ["opened"])
        #expect(try world.activation().session != nil)
        try world.scribble()
        world.kernel.unmount("dmsnap-sda")
        for _ in 0..<3 { #expect(watcher.look() == .after(Reconciler.merging)) }
        #expect(try world.sessions().last?.record.state == .open)
        world.kernel.mergeSpeed = 100
        for _ in 0..<3 { watcher.look() }
        let last = try #require(try world.sessions().last?.record)
        #expect(last.state == .closed && last.restoreOf?.text == name && last.kind == .mount)
        #expect(watcher.words == ["opened", "closed"])
        #expect(try world.faults() == [])
    }

    @Test("A restore that has stopped is told of once")
    func failure() throws {
        let (watcher, name, _) = try restoring()
        watcher.world.kernel.failMerge("dmsnap-sda")
        for _ in 0..<3 { #expect(watcher.look() == .after(Reconciler.merging)) }
        let said = watcher.said()
        #expect(said.count == 1)
        #expect(said.first?.hasPrefix("error: ") == true)
        #expect(said.first?.contains(name) == true)
        #expect(try watcher.world.activation().merge != nil)
    }
}

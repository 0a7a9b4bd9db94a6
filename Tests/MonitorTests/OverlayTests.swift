import Block
import ExceptionStore
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

/// What the monitor does with devices that are not written.
@Suite struct OverlayWatchTests {
    private struct Covered {
        let world: World
        let before: [UInt8]
        let disk: FilePath

        init(_ restoreAt: RestoreAt) throws {
            world = try World()
            disk = try world.disk()
            before = try world.kernel.bytes(of: disk)
            _ = try world.service().activate(
                disk.string, .init(.overlay(restoreAt), chunkSize: .init(parsing: "1K")))
        }

        var shown: [UInt8] {
            get throws { try world.kernel.contents(ofMapped: world.origin()) }
        }
    }

    @Test("With the last unmount what was written is given up, and no session is opened or closed")
    func atUnmount() throws {
        let covered = try Covered(.unmount)
        let watcher = try Watcher(covered.world)
        let name = try covered.world.origin()
        try covered.world.kernel.mount(name)
        watcher.look()
        try covered.world.scribble()
        watcher.look()
        #expect(try covered.shown != covered.before)
        covered.world.kernel.unmount(name)
        watcher.look()
        #expect(try covered.shown == covered.before)
        #expect(watcher.said().contains { $0.contains("given up") })
        #expect(try covered.world.sessions().isEmpty)
        #expect(watcher.words == ["closed"])
        #expect(try covered.world.faults() == [])
        // And nothing more happens.
        let calls = covered.world.kernel.calls.count
        watcher.look()
        #expect(covered.world.kernel.calls.count == calls)
    }

    @Test("Without the wish it stays")
    func never() throws {
        let covered = try Covered(.never)
        let watcher = try Watcher(covered.world)
        let name = try covered.world.origin()
        try covered.world.kernel.mount(name)
        try covered.world.scribble()
        covered.world.kernel.unmount(name)
        let shown = try covered.shown
        watcher.look()
        #expect(try covered.shown == shown)
        #expect(try covered.world.faults() == [])
    }

    @Test(
        "Before there is no room left its file systems are made read-only, once, and that is said")
    func full() throws {
        let covered = try Covered(.unmount)
        let watcher = try Watcher(covered.world)
        let made = Lines()
        watcher.set { made.add($0) }
        let name = try covered.world.origin()
        try covered.world.kernel.mount(name, at: "/srv")
        try covered.world.scribble()
        watcher.look()
        #expect(made.take().isEmpty)
        covered.world.kernel.free = ByteCount(1 << 20)
        watcher.look()
        watcher.look()
        watcher.look()
        #expect(made.take() == ["/srv"])
        #expect(watcher.said().count { $0.contains("/srv is read-only now") } == 1)
        covered.world.kernel.free = ByteCount(50 << 30)
        covered.world.kernel.unmount(name)
        watcher.look()
        #expect(try covered.shown == covered.before)
    }

    @Test("A store that failed is told of once, and discarding puts the device back")
    func failed() throws {
        let covered = try Covered(.never)
        let watcher = try Watcher(covered.world)
        let name = try covered.world.origin()
        try covered.world.kernel.mount(name)
        try covered.world.scribble()
        try covered.world.kernel.invalidate(name)
        watcher.look()
        watcher.look()
        #expect(watcher.said().count { $0.contains("is lost") } == 1)
        let status = try #require(try covered.world.service().status().first)
        #expect(status.state == .invalid && status.warning?.contains("discard") == true)
        covered.world.kernel.unmount(name)
        _ = try covered.world.service().discard(covered.disk.string)
        #expect(try covered.shown == covered.before)
        #expect(try covered.world.faults() == [])
    }
}

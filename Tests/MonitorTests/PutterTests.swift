import Glibc
import KernelSimulation
import Logging
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

/// What the monitor does with devices that are put back by themselves.
@Suite struct PutterTests {
    /// A monitor's loop, as far as it is about them.
    private struct Loop {
        let watcher: Watcher
        let putter: Putter
        let lines = Lines()

        init(_ world: World) throws {
            watcher = try Watcher(world)
            let lines = lines
            putter = try Putter(
                service: world.service(),
                log: Logger(label: "test") { _ in Recorder(lines: lines) })
        }

        /// Looks until nothing is due any more, or so often.
        func run(_ looks: Int = 20) {
            for _ in 0..<looks {
                watcher.look()
                putter.attend(idle: watcher.idle)
                guard !putter.isIdle else { continue }
                var event = pollfd(fd: putter.source.descriptor, events: Int16(POLLIN), revents: 0)
                #expect(unsafe poll(&event, 1, 20_000) == 1)
                _ = putter.source.take()
                putter.takeFinished()
            }
        }
    }

    private func kiosk(keep: Int = 0) throws -> (World, [UInt8]) {
        let world = try World()
        let disk = try world.disk()
        let before = try world.kernel.bytes(of: disk)
        try world.activate(disk)
        try world.service().set(disk.string, PolicyChange(restoreAt: .unmount, keep: keep))
        return (world, before)
    }

    private func use(_ world: World) throws {
        try world.kernel.mount(world.origin())
        try world.scribble()
    }

    @Test("It is put back as soon as nobody uses it, compared, and what led there and back goes")
    func whole() throws {
        let (world, before) = try kiosk()
        let loop = try Loop(world)
        try use(world)
        loop.run(3)
        #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) != before)
        try world.kernel.unmount(world.origin())
        loop.run()
        #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) == before)
        #expect(try world.sessions().isEmpty)
        let said = loop.lines.take()
        #expect(said.count == 2)
        #expect(said.first?.contains("is being put back to what it was before session") == true)
        #expect(said.last?.contains("is what it was before session") == true)
        #expect(try world.faults() == [])
    }

    @Test("What fails is said once, and left alone until it is used again")
    func failing() throws {
        let (world, before) = try kiosk()
        let loop = try Loop(world)
        try use(world)
        loop.run(2)
        try world.service().observer.markBroken(world.activation().id, "somebody wrote")
        try world.kernel.unmount(world.origin())
        loop.run()
        let said = loop.lines.take()
        #expect(said.count == 1 && said.first?.contains("not put back: ") == true)
        #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) != before)
        let calls = world.kernel.calls.count
        loop.watcher.look()
        loop.putter.attend(idle: loop.watcher.idle)
        #expect(loop.putter.isIdle && world.kernel.calls.count == calls)
    }
}

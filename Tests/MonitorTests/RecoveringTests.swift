import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

/// What boots, and verbs that were killed, leave for the monitor.
@Suite struct RecoveringTests {
    @Test("After a reboot a device is assembled as soon as something has appeared")
    func assembling() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        world.kernel.reboot()
        let bytes = try world.kernel.bytes(of: disk)
        world.kernel.removeDisk(disk)
        let watcher = try Watcher(world)
        watcher.look()
        #expect(world.kernel.remains == [])
        #expect(watcher.said() == [])
        try world.kernel.addDisk("sdx", bytes, hardware: ["serial:1"])
        watcher.look(isWoken: false)
        #expect(world.kernel.remains == [])
        watcher.look()
        #expect(try world.faults() == [])
        #expect(try world.sessions().map(\.record.interrupted) == [true])
        #expect(watcher.said().contains { $0.hasPrefix("warning") })
    }

    @Test("What can't be assembled is said once, and doesn't keep others waiting")
    func other() throws {
        let world = try World()
        let first = try world.image("first.img")
        try world.activate(first)
        try world.activate(world.image("second.img"))
        world.kernel.reboot()
        // Another file has its name.
        let stranger = try world.image("stranger")
        try Files.rename(stranger, to: first)
        let watcher = try Watcher(world)
        watcher.look()
        #expect(watcher.said().filter { $0.hasPrefix("error") }.count == 1)
        #expect(world.kernel.remains.contains("dmsnap-second.img"))
        watcher.look()
        #expect(watcher.said() == [])
    }

    @Test("Whenever a verb is killed, a monitor that runs puts it right", arguments: [true, false])
    func killed(isMounted: Bool) throws {
        func world() throws -> World {
            let world = try World()
            try world.activate(world.disk())
            try world.session()
            try world.mount()
            try world.scribble()
            try world.kernel.unmount(world.origin())
            return world
        }
        func act(_ world: World) throws {
            _ = try world.service().rollOver(world.activation().id)
        }
        let whole = try world()
        let steps = try Steps.counting { try act(whole) }.changes
        for step in 1...steps {
            let world = try world()
            let watcher = try Watcher(world)
            let what = "killed before step " + Steps.dying(before: step) { try act(world) }
            if isMounted { try world.kernel.mount(world.origin()) }
            for _ in 0..<3 { watcher.look() }
            #expect(world.kernel.suspended == [], "\(what)")
            if isMounted {
                #expect(try world.activation().session != nil, "\(what)")
                try world.scribble()
                try world.kernel.unmount(world.origin())
                for _ in 0..<2 { watcher.look() }
            }
            let faults = try world.faults(afterDeath: true)
            #expect(faults == [], "\(what)")
            #expect(try world.sessions().allSatisfy { $0.record.state == .closed }, "\(what)")
        }
    }

    @Test("An activation or deactivation that was killed is undone or completed")
    func halfway() throws {
        let whole = try World()
        let path = try whole.disk()
        let steps = try Steps.counting {
            try whole.activate(path)
            try whole.service().deactivate(path.string)
        }.changes
        for step in 1...steps {
            let world = try World()
            let path = try world.disk()
            let watcher = try Watcher(world)
            let what = Steps.dying(before: step) {
                try world.activate(path)
                try world.service().deactivate(path.string)
            }
            watcher.look()
            let faults = try world.faults(afterDeath: true)
            #expect(faults == [], "killed before step \(what)")
        }
    }

    @Test("What a verb still works on is left to it")
    func working() throws {
        let world = try World()
        let activation = try world.activate(world.disk())
        try world.service().lifecycle.registry.change(activation.id) {
            current throws(SessionsError) in
            try current.beginExchange(
                to: Store(number: 2, baseline: current.store.baseline), held: nil)
        }
        let watcher = try Watcher(world)
        let calls = world.kernel.calls
        guard let lock = try FileLock.takeIfFree(world.layout.operationLock(activation.id)) else {
            throw Unexpected("no lock")
        }
        watcher.look()
        #expect(world.kernel.calls == calls)
        #expect(try isExchanging(world))
        lock.release()
        watcher.look()
        #expect(try !isExchanging(world))
    }
}

private func isExchanging(_ world: World) throws -> Bool {
    if case .exchanging = try world.activation().state { return true }
    return false
}

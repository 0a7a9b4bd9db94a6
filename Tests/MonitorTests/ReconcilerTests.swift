import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

@Suite struct ReconcilerTests {
    private func armed(hasRule: Bool = true) throws -> Watcher {
        let world = try World()
        try world.activate(world.disk())
        return try Watcher(world, hasRule: hasRule)
    }

    private var origin: String { "dmsnap-sda" }

    @Test("With nothing activated it sleeps until it is woken")
    func nothing() throws {
        let watcher = try Watcher(World())
        #expect(watcher.look() == .whenWoken)
    }

    @Test("Armed and not used, a device is looked at now and then, and nothing is done")
    func idle() throws {
        let watcher = try armed()
        let calls = watcher.world.kernel.calls
        #expect(watcher.look() == .after(Reconciler.slow))
        #expect(watcher.world.kernel.calls == calls)
        #expect(watcher.words == [])
        #expect(watcher.said() == [])
    }

    @Test(
        "What a group has in common is put down as soon as all of it is idle, whoever had died before"
    )
    func group() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.activate(world.disk("sdb", hardware: ["serial:2"]))
        let name = try #require(GroupName("pair"))
        let service = try world.service()
        try service.setGroup(name, service.activations().map(\.path.text))
        for one in try service.activations() {
            try service.lifecycle.registry.change(one.id) { $0.store.instant = nil }
        }
        #expect(try service.report(on: name).instant == nil)
        watcher.look()
        #expect(try service.report(on: name).instant?.places.count == 2)
        #expect(try world.faults() == [])
    }

    @Test("A mount is announced once, and its end once; the rule opens the session")
    func mount() throws {
        let watcher = try armed()
        let world = watcher.world
        for round in 1...2 {
            try world.kernel.mount(origin)
            for _ in 0..<3 { watcher.look() }
            #expect(try world.activation().session != nil)
            try world.scribble()
            watcher.look()
            world.kernel.unmount(origin)
            for _ in 0..<3 { watcher.look() }
            #expect(
                try world.sessions().map(\.record.state) == Array(repeating: .closed, count: round))
            #expect(
                watcher.words
                    == Array(repeating: ["opened", "closed"], count: round).flatMap(\.self))
        }
        #expect(try world.faults() == [])
    }

    @Test("When the file system of an open session was checked is kept, as it is now")
    func checked() throws {
        let watcher = try armed()
        let world = watcher.world
        world.kernel.lastCheck = 1
        try world.kernel.mount(origin)
        watcher.look()
        for check: UInt64 in [1, 2] {
            world.kernel.lastCheck = check
            watcher.look()
            #expect(try world.activation().store.lastCheck == check)
        }
    }

    @Test("Where no rule answers the monitor opens the session itself, and says so")
    func noRule() throws {
        let watcher = try armed(hasRule: false)
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        watcher.look()
        #expect(try world.activation().session == nil)
        #expect(watcher.words == ["opened"])
        #expect(watcher.said() == [])
        watcher.set(rulePatience: .zero)
        watcher.look()
        let session = try #require(try world.activation().session)
        #expect(watcher.words == ["opened"])
        let said = watcher.said()
        #expect(said.first?.hasPrefix("warning: ") == true)
        #expect(said.last == "info: \(session): opened")
    }

    @Test("A mount without a write leaves no session, and its end is announced all the same")
    func empty() throws {
        let watcher = try armed()
        try watcher.world.kernel.mount(origin)
        watcher.look()
        watcher.world.kernel.unmount(origin)
        watcher.look()
        #expect(watcher.words == ["opened", "closed"])
        #expect(try watcher.world.sessions().isEmpty)
        #expect(try watcher.world.faults() == [])
    }

    @Test(
        "While somebody has the device open after its last unmount it looks again soon, then less")
    func stillOpen() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        try world.scribble()
        world.kernel.unmount(origin)
        world.kernel.setPrograms(1, on: origin)
        for _ in 0..<40 { #expect(watcher.look() == .after(Reconciler.probing)) }
        #expect(watcher.look() == .after(Reconciler.slow))
        #expect(try world.sessions().map(\.record.state) == [.open])
        world.kernel.setPrograms(0, on: origin)
        watcher.look()
        #expect(try world.sessions().map(\.record.state) == [.closed])
    }

    @Test("A mount that comes while the session is being closed is seen soon, and goes on in it")
    func mountAgain() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        try world.scribble()
        world.kernel.unmount(origin)
        world.kernel.whenSuspended = { try? world.kernel.mount($0) }
        #expect(watcher.look() == .after(Reconciler.probing))
        world.kernel.whenSuspended = { _ in }
        watcher.look()
        #expect(try world.sessions().map(\.record.state) == [.open])
        #expect(watcher.words == ["opened"])
        #expect(try world.faults() == [])
    }

    @Test("What is written outside a mount, and let go of, becomes an offline session")
    func offline() throws {
        let watcher = try armed()
        try watcher.world.scribble()
        watcher.look()
        #expect(try watcher.world.sessions().map(\.record.kind) == [.offline])
        #expect(try watcher.world.faults() == [])
    }

    @Test("A program that writes for long gets a session like a mount")
    func held() throws {
        let watcher = try armed()
        let world = watcher.world
        world.kernel.setPrograms(1, on: origin)
        watcher.look()
        #expect(watcher.words == [])
        try world.scribble()
        watcher.look()
        #expect(watcher.words == [])
        watcher.set(holdPatience: .zero)
        watcher.look()
        #expect(watcher.words == ["opened"])
        #expect(try world.activation().session != nil)
    }

    @Test("A store that was dropped is said and kept once; the next mount's session is good")
    func invalid() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        try world.scribble()
        try world.kernel.invalidate("dmsnapcow-sda-1", isWritten: false)
        watcher.look()
        #expect(try world.activation().store.loss != nil)
        #expect(try world.sessions().map(\.record.state) == [.invalid])
        #expect(watcher.said().filter { $0.hasPrefix("error") }.count == 1)
        watcher.look()
        #expect(watcher.said() == [])
        world.kernel.unmount(origin)
        watcher.look()
        try world.kernel.mount(origin)
        watcher.look()
        #expect(try world.sessions().map(\.record.state) == [.invalid, .open])
        #expect(try world.activation().store.loss == nil)
    }

    @Test("Too little room is told of once, and so is that nothing is captured, and the end of it")
    func shortage() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        try world.scribble()
        world.kernel.free = ByteCount(900 << 20)
        for _ in 0..<2 { watcher.look() }
        let warnings = watcher.said().filter { $0.contains("kept for others") }
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("its next mount won't be captured") == true)
        world.kernel.unmount(origin)
        for _ in 0..<3 { watcher.look() }
        let errors = watcher.said().filter { $0.hasPrefix("error") }
        #expect(errors.count == 1)
        #expect(errors.first?.contains("nothing of what is written to it is kept") == true)
        #expect(watcher.look() == .after(Reconciler.slow))
        world.kernel.free = ByteCount(50 << 30)
        for _ in 0..<2 { watcher.look() }
        #expect(watcher.said().filter { $0.contains("captured again") }.count == 1)
        #expect(try world.faults() == [])
    }

    @Test("With next to nothing free the store under a session goes, told of once")
    func emergency() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        try world.scribble()
        world.kernel.free = ByteCount(100 << 20)
        for _ in 0..<3 { watcher.look() }
        #expect(try world.service().status().first?.captured == false)
        let errors = watcher.said().filter { $0.hasPrefix("error") }
        #expect(errors.count == 1)
        #expect(errors.first?.contains("given up") == true)
        #expect(world.kernel.suspended == [])
    }

    @Test("A store that is filling up is told of once, and the next one again")
    func filling() throws {
        let world = try World()
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        // The disk that this runs on may well be fuller than the default.
        try Files.replace(
            world.layout.configuration, with: Array("[store]\nwarn-percent = 99\n".utf8))
        try world.activate(world.disk())
        let watcher = try Watcher(world)
        for _ in 0..<2 {
            try world.kernel.mount(origin)
            watcher.look()
            _ = watcher.said()
            try world.kernel.write(world.generator.bytes(64 << 10), at: 0, to: origin)
            watcher.look()
            let said = watcher.said()
            #expect(said.count == 1)
            #expect(said.first?.contains("% full") == true)
            watcher.look()
            #expect(watcher.said() == [])
            world.kernel.unmount(origin)
            watcher.look()
        }
    }

    @Test("A write to the raw disk breaks the chain, and is said once")
    func pastOrigin() throws {
        let watcher = try armed()
        let world = watcher.world
        watcher.look()
        let disk = world.kernel.blockDevices()[0]
        try TemporaryDirectory.patch(disk, at: 512, [1])
        watcher.look()
        #expect(try world.activation().store.breach?.what.contains(disk.string) == true)
        let said = watcher.said()
        #expect(said.count == 1)
        #expect(said.first?.hasPrefix("error: ") == true)
        watcher.look()
        #expect(watcher.said() == [])
    }

    @Test(
        "What was written between two activations, both since the last look, was written past neither"
    )
    func betweenActivations() throws {
        let watcher = try armed()
        let world = watcher.world
        watcher.look()
        let disk = world.kernel.blockDevices()[0]
        _ = try world.service().deactivate(disk.string)
        try TemporaryDirectory.patch(disk, at: 512, [1])
        try world.activate(disk)
        watcher.look()
        #expect(try world.activation().store.breach == nil)
        #expect(watcher.said().filter { $0.hasPrefix("error: ") } == [])
        try TemporaryDirectory.patch(disk, at: 512, [2])
        watcher.look()
        #expect(try world.activation().store.breach != nil)
    }

    @Test("Who opens the disk or image to write and writes nothing breaks no chain")
    func opened() throws {
        let watcher = try armed()
        let disk = watcher.world.kernel.blockDevices()[0]
        watcher.look()
        try OwnedDescriptor.open(disk, .readWrite).close()
        watcher.look()
        #expect(try watcher.world.activation().store.breach == nil)
        #expect(watcher.said() == [])
        try TemporaryDirectory.patch(disk, at: 512, [1])
        watcher.look()
        #expect(try watcher.world.activation().store.breach != nil)
    }

    @Test("A store that is deleted or replaced under its session is told of at once")
    func lostStore() throws {
        let watcher = try armed()
        let world = watcher.world
        try world.kernel.mount(origin)
        watcher.look()
        try world.scribble()
        watcher.look()
        _ = watcher.said()
        let name = try #require(try world.activation().session)
        try Files.removeDirectory(world.layout.defaultSessions.appending(name.text))
        watcher.look(isWoken: false)
        #expect(try world.activation().store.loss?.contains("deleted") == true)
        let said = watcher.said()
        #expect(said.count == 1 && said.first?.hasPrefix("error: ") == true)
        watcher.look()
        #expect(watcher.said() == [])
        world.kernel.unmount(origin)
        for _ in 0..<3 { watcher.look() }
        #expect(try world.sessions().last?.record.state == .invalid)
        #expect(try world.activation().store.health == .sound)
    }

    @Test("A device that grows is told of once, and its chain is broken")
    func grown() throws {
        let watcher = try armed()
        let disk = watcher.world.kernel.blockDevices()[0]
        watcher.look()
        try OwnedDescriptor.open(disk, .readWrite).resize(to: ByteCount(128 << 10))
        watcher.look()
        watcher.look()
        #expect(try watcher.world.activation().store.breach?.what.contains("size") == true)
        #expect(watcher.said().count { $0.contains("size") } == 1)
    }

    @Test("The lock that an activation holds on its image is taken for no write")
    func locked() throws {
        let world = try World()
        let image = try world.image()
        try world.activate(image)
        let watcher = try Watcher(world)
        watcher.look()
        _ = try ImageHold(kernel: world.kernel, layout: world.layout).holding(image) {
            watcher.look()
        }
        watcher.look()
        #expect(try world.activation().store.breach?.what == nil)
        #expect(watcher.said() == [])
    }

    @Test("A second loop device over an image breaks the chain")
    func otherLoop() throws {
        let world = try World()
        let image = try world.image()
        try world.activate(image)
        let watcher = try Watcher(world)
        watcher.look()
        #expect(try world.activation().store.breach?.what == nil)
        try world.kernel.attachByHand(image, as: 7)
        watcher.look()
        #expect(try world.activation().store.breach?.what.contains("loop7") == true)
    }

    @Test("A mount of another path to an activated disk breaks the chain, and no other disk's")
    func otherPath() throws {
        let world = try World()
        let disk = try world.disk("sda", hardware: ["wwid:naa.1"])
        try world.activate(disk)
        var bytes = try world.kernel.bytes(of: disk)
        // What is mounted has more in memory than is on the disk.
        bytes[5000] ^= 1
        let other = try world.kernel.addDisk("sdb", bytes, hardware: ["wwid:naa.1"])
        let stranger = try world.kernel.addDisk("sdc", bytes, hardware: ["wwid:naa.2"])
        let watcher = try Watcher(world)
        world.kernel.mountDisk(stranger)
        watcher.look()
        #expect(try world.activation().store.breach?.what == nil)
        world.kernel.mountDisk(other)
        watcher.look()
        #expect(try world.activation().store.breach?.what.contains("another path") == true)
    }
}

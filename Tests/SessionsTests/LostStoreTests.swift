import Block
import DeviceMapper
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// A store that is not there is not an empty one.
@Suite struct LostStoreTests {
    /// A closed session, and an open one that has written.
    private func open() throws -> (world: World, disk: FilePath, first: String, second: String) {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let first = try world.session()
        guard case .opened(let second) = try world.mount() else { throw Unexpected("no session") }
        try world.scribble()
        return (world, disk, first, second.text)
    }

    private func directory(_ world: World, _ session: String) -> FilePath {
        world.layout.defaultSessions.appending(session)
    }

    /// The session is invalid, and no older one is restored through it.
    private func checkGap(
        _ world: World, _ first: String, _ lost: String? = nil, _ what: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = try world.kernel.bytes(of: world.kernel.blockDevices()[0])
        let last = try #require(world.sessions().last?.record, sourceLocation: sourceLocation)
        #expect(last.state == .invalid, "\(what)", sourceLocation: sourceLocation)
        #expect(last.loss != nil, "\(what)", sourceLocation: sourceLocation)
        if let lost { #expect(last.name.text == lost, sourceLocation: sourceLocation) }
        for accepts in [false, true] {
            var request = RestoreRequest(session: first)
            request.acceptsWrites = accepts
            let error = #expect(throws: SessionsError.self, sourceLocation: sourceLocation) {
                try world.service().restore(request)
            }
            #expect(error?.exitStatus == .damaged, sourceLocation: sourceLocation)
            #expect(
                error?.description.contains(last.name.text) == true, "\(what)",
                sourceLocation: sourceLocation)
        }
        #expect(try world.kernel.bytes(of: world.kernel.blockDevices()[0]) == before)
        // The next one is good again.
        let next = try world.session()
        _ = try world.service().restore(RestoreRequest(session: next))
        try check(world, what, sourceLocation: sourceLocation)
    }

    @Test("An open session's directory is deleted: invalid at its end, a gap that restores name")
    func deletedOpen() throws {
        let (world, _, first, second) = try open()
        try Files.removeDirectory(directory(world, second))
        guard case .closed(let session) = try world.unmount() else { throw Unexpected("no end") }
        #expect(session.record.state == .invalid)
        try checkGap(world, first, second)
    }

    @Test("An armed store that has captured is deleted: the same", arguments: [true, false])
    func deletedArmed(deactivates: Bool) throws {
        let world = try World()
        let disk = try world.disk()
        let activation = try world.activate(disk)
        let first = try world.session()
        try world.scribble()
        try Files.removeDirectory(
            world.layout.defaultSessions.appending(".armed").appending("\(activation.id)-2"))
        if deactivates {
            let session = try #require(try world.service().deactivate(disk.string))
            #expect(session.record.state == .invalid)
            #expect(try world.service().restoreError(first)?.exitStatus == .damaged)
            #expect(world.kernel.remains == [])
        } else {
            guard case .closed = try world.service().rollOver(activation.id) else {
                throw Unexpected("no end")
            }
            try checkGap(world, first)
        }
    }

    @Test("An empty armed store that is deleted takes nothing with it")
    func deletedEmpty() throws {
        let world = try World()
        let disk = try world.disk()
        let activation = try world.activate(disk)
        let before = try world.kernel.bytes(of: disk)
        let first = try world.session()
        try Files.removeDirectory(
            world.layout.defaultSessions.appending(".armed").appending("\(activation.id)-2"))
        #expect(try world.service().deactivate(disk.string) == nil)
        _ = try world.service().restore(RestoreRequest(session: first))
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    @Test(
        "A store replaced by an earlier copy of itself, or cut short, is found by the kernel's count"
    )
    func replaced() throws {
        for isCut in [false, true] {
            let (world, _, first, second) = try open()
            let store = directory(world, second).appending("store")
            let bytes = try Files.read(store)
            try world.scribble(3)
            // Every chunk, so that something is new to it.
            try world.kernel.write(world.generator.bytes(64 << 10), at: 0, to: world.origin())
            if isCut {
                try OwnedDescriptor.open(store, .readWrite).resize(to: ByteCount(2048))
            } else {
                try Files.replace(store, with: bytes)
            }
            guard case .closed(let session) = try world.unmount() else {
                throw Unexpected("no end")
            }
            #expect(session.record.state == .invalid)
            try checkGap(world, first, second, isCut ? "cut" : "replaced")
        }
    }

    @Test("After a boot a store that is not there is a gap, and not an empty one")
    func deletedBeforeBoot() throws {
        let (world, _, first, second) = try open()
        try Files.removeDirectory(directory(world, second))
        world.kernel.reboot()
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        try checkGap(world, first, second)
    }

    @Test(
        "With another file system in the place of the sessions' nothing is opened, closed or ended")
    func hidden() throws {
        let (world, disk, first, second) = try open()
        let usual = world.kernel.fileSystemUUID
        world.kernel.fileSystemUUID = { _ in "another" }
        world.kernel.unmount(try world.origin())
        for attempt in [
            { _ = try world.service().rollOver(world.activation().id) },
            { _ = try world.service().deactivate(disk.string) },
        ] as [() throws -> Void] {
            let error = #expect(throws: SessionsError.self) { try attempt() }
            #expect(error?.exitStatus == .noInput)
        }
        #expect(try world.service().status().first?.warning?.contains("hidden") == true)
        world.kernel.fileSystemUUID = usual
        guard case .closed(let session) = try world.service().rollOver(world.activation().id)
        else { throw Unexpected("no end") }
        #expect(session.record.name.text == second && session.record.state == .closed)
        _ = try world.service().restore(RestoreRequest(session: first))
        try check(world)
    }

    @Test("After a boot what lies below the mount point is not taken for the sessions' directory")
    func belowMountPoint() throws {
        let (world, _, first, second) = try open()
        world.kernel.reboot()
        let base = world.layout.defaultSessions
        let aside = base.appendingSuffix(".aside")
        try Files.rename(base, to: aside)
        try Files.makeDirectory(base)
        try Files.makeDirectory(base.appending(".armed"))
        let usual = world.kernel.fileSystemUUID
        world.kernel.fileSystemUUID = { _ in "the root's" }
        guard case .notThere = try world.service().assemble(world.activation().id) else {
            throw Unexpected("assembled from what lies below")
        }
        try Files.removeDirectory(base.appending(".armed"))
        try Files.removeDirectory(base)
        try Files.rename(aside, to: base)
        world.kernel.fileSystemUUID = usual
        guard case .assembled(let session) = try world.service().assemble(world.activation().id)
        else { throw Unexpected("not assembled") }
        #expect(session?.record.name.text == second && session?.record.state == .closed)
        _ = try world.service().restore(RestoreRequest(session: first))
        try check(world)
    }

    @Test("A directory of sessions that was moved to another file system is found by its store")
    func moved() throws {
        let (world, _, first, second) = try open()
        world.kernel.reboot()
        world.kernel.fileSystemUUID = { _ in "a larger one" }
        guard case .assembled(let session) = try world.service().assemble(world.activation().id)
        else { throw Unexpected("not assembled") }
        #expect(session?.record.name.text == second)
        #expect(try world.activation().base.fileSystemUUID == "a larger one")
        _ = try world.service().restore(RestoreRequest(session: first))
        try check(world)
    }

    @Test("The snapshot's own device, held open, puts the end off and is told of; then it comes")
    func held() throws {
        let (world, _, first, _) = try open()
        let origin = try world.origin()
        world.kernel.setPrograms(1, on: "dmsnapcow-sda-2")
        guard case .held = try world.unmount() else { throw Unexpected("an exchange") }
        #expect(try world.service().status().first?.warning?.contains("dmsnapcow-sda-2") == true)
        #expect(world.kernel.suspended == [])
        world.kernel.setPrograms(0, on: "dmsnapcow-sda-2")
        guard case .closed = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("no end")
        }
        #expect(world.kernel.number(ofMapped: origin) != nil)
        _ = try world.service().restore(RestoreRequest(session: first))
        try check(world)
    }
}

extension SnapshotService {
    /// What restoring a session is refused with.
    func restoreError(_ session: String) throws -> SessionsError? {
        do {
            _ = try restore(RestoreRequest(session: session))
            return nil
        } catch {
            return error
        }
    }
}

extension LostStoreTests {
    @Test("A store that a session's opening has just renamed is not taken for a lost one")
    func renamed() throws {
        let world = try World()
        try world.activate(world.disk())
        // What the monitor looked at is as it was before the session was opened.
        let before = try world.activation()
        try world.mount()
        #expect(try world.service().lifecycle.storeFault(before) != nil)
        #expect(try world.service().observer.markLost(before.id) == nil)
        // Nor one whose process died between the rename and the registry's change.
        try world.kernel.unmount(world.origin())
        _ = try world.service().rollOver(before.id)
        let armed = try world.activation()
        try world.kernel.mount(world.origin())
        let steps = try Steps.counting { _ = try world.service().openSession(world.origin()) }
        #expect(steps.changes > 3)
        try world.service().lifecycle.registry.update { document in document[id: armed.id] = armed }
        #expect(try world.service().lifecycle.storeFault(armed) != nil)
        #expect(try world.service().observer.markLost(armed.id) == nil)
    }

    @Test(
        "Used on after a process died in an exchange, and then cut off, a device loses nothing",
        arguments: [true, false])
    func usedOn(isMounted: Bool) throws {
        func prepared() throws -> (world: World, disk: FilePath, before: [UInt8], first: String) {
            let world = try World()
            let disk = try world.disk()
            try world.activate(disk)
            let before = try world.kernel.bytes(of: disk)
            guard case .opened(let first) = try world.mount() else { throw Unexpected("none") }
            try world.scribble(2)
            world.kernel.unmount(try world.origin())
            return (world, disk, before, first.text)
        }
        let whole = try prepared().world
        let steps = try Steps.counting {
            _ = try whole.service().rollOver(whole.activation().id)
        }.changes
        for step in 1...steps {
            let (world, disk, before, first) = try prepared()
            let what = Steps.dying(before: step) {
                _ = try world.service().rollOver(world.activation().id)
            }
            // Nobody has put it right yet, but for the guard over the suspended device.
            for name in world.kernel.suspended {
                try world.kernel.resume(
                    try #require(DeviceName(name)), in: DeviceMapperTransaction(),
                    visibility: .disk)
            }
            if isMounted { try world.kernel.mount(world.origin()) }
            try world.scribble(3)
            world.kernel.reboot()
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
            try check(world, what, afterDeath: true)
            for session in try world.sessions() {
                #expect(session.record.state == .closed, "\(what): \(session.record.loss ?? "")")
            }
            _ = try world.service().restore(RestoreRequest(session: first))
            #expect(try world.kernel.bytes(of: disk) == before, "\(what)")
        }
    }
}

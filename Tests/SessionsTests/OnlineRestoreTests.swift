import Block
import KernelSimulation
import Restore
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct OnlineRestoreTests {
    /// A disk with three sessions; the contents before each, and after the last.
    private func chain(
        size: Int = 24 << 10
    ) throws -> (World, FilePath, [String], [[UInt8]]) {
        let world = try World()
        let disk = try world.disk(size: size)
        try world.activate(disk)
        var names: [String] = []
        var states = [try world.kernel.bytes(of: disk)]
        for _ in 0..<3 {
            names.append(try world.session(writes: 3))
            states.append(try world.kernel.bytes(of: disk))
        }
        return (world, disk, names, states)
    }

    private func online(_ name: String) -> RestoreRequest {
        var request = RestoreRequest(session: name)
        request.online = true
        return request
    }

    /// Lets the kernel put everything back, and ends it as the monitor does.
    private func wait(_ world: World) throws {
        world.kernel.mergeSpeed = 4
        for _ in 0..<100 {
            guard try world.activation().merge != nil else { break }
            for one in try world.service().observer.watched() where one.merge?.isComplete == true {
                try world.service().recover(one.activation.id)
            }
        }
        #expect(try world.activation().merge == nil)
    }

    @Test("It shows the restored contents at once, ends in them, and is undone by its session")
    func whole() throws {
        let (world, disk, names, states) = try chain(size: 64 << 10)
        world.kernel.mergeSpeed = 0
        let outcome = try world.service().restore(online(names[1]))
        #expect(outcome.isOnline && outcome.undo == nil)
        #expect(outcome.chain.map(\.text) == Array(names[1...]))
        let origin = try world.origin()
        #expect(try world.kernel.contents(ofMapped: origin) == states[1])
        #expect(try world.kernel.bytes(of: disk) == states[3])
        let status = try #require(try world.service().status().first)
        #expect(status.merge?.session.text == names[1] && status.merge?.bytesDone == 0)
        #expect(status.merge?.bytesTotal == outcome.report.totals.bytes)
        #expect(status.state == .restoring && status.captured && status.warning == nil)
        try check(world)
        world.kernel.mergeSpeed = 1
        _ = try world.service().status()
        let later = try #require(try world.service().status().first?.merge)
        #expect(later.bytesDone > 0 && !later.isComplete)
        #expect(try world.kernel.contents(ofMapped: origin) == states[1])
        try wait(world)
        #expect(try world.kernel.bytes(of: disk) == states[1])
        let end = try world.service().status().first
        #expect(end?.merge == nil && end?.state == .armed)
        guard case .closed(let undo) = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("no session")
        }
        #expect(undo.record.kind == .offline && undo.record.restoreOf?.text == names[1])
        #expect(undo.record.continues == nil)
        _ = try world.service().restore(RestoreRequest(session: undo.record.name))
        #expect(try world.kernel.bytes(of: disk) == states[3])
        try check(world)
    }

    @Test("A mount meanwhile has a session that it shares with the restore")
    func mounted() throws {
        let (world, disk, names, states) = try chain(size: 128 << 10)
        world.kernel.mergeSpeed = 0
        _ = try world.service().restore(online(names[0]))
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        try world.scribble(4)
        let shown = try world.kernel.contents(ofMapped: world.origin())
        world.kernel.mergeSpeed = 1
        _ = try world.service().status()
        // The exchange is put off until all is back.
        guard case .nothingToDo = try world.unmount() else { throw Unexpected("an exchange") }
        #expect(try world.activation().session == name)
        #expect(try world.kernel.contents(ofMapped: world.origin()) == shown)
        try wait(world)
        #expect(try world.kernel.bytes(of: disk) == shown)
        guard case .closed(let session) = try world.service().rollOver(world.activation().id)
        else { throw Unexpected("no session") }
        #expect(session.record.name == name && session.record.kind == .mount)
        #expect(session.record.restoreOf?.text == names[0])
        _ = try world.service().restore(RestoreRequest(session: name.text))
        #expect(try world.kernel.bytes(of: disk) == states[3])
        try check(world)
    }

    @Test("It ends while the device is mounted, too")
    func endsMounted() throws {
        let (world, _, names, _) = try chain()
        _ = try world.service().restore(online(names[0]))
        try world.mount()
        try wait(world)
        try world.scribble(2)
        guard case .closed = try world.unmount() else { throw Unexpected("no session") }
        try check(world)
    }

    @Test("While it runs, other restores and deactivating are refused")
    func refused() throws {
        let (world, disk, names, _) = try chain()
        world.kernel.mergeSpeed = 0
        _ = try world.service().restore(online(names[2]))
        for request in [online(names[0]), RestoreRequest(session: names[0])] {
            let error = #expect(throws: SessionsError.self) {
                try world.service().restore(request)
            }
            #expect(error?.exitStatus == .busy)
            #expect(error?.description.contains("0 % of session \(names[2])") == true)
        }
        let error = #expect(throws: SessionsError.self) {
            try world.service().deactivate(disk.string)
        }
        #expect(error?.exitStatus == .busy)
        #expect(try world.activation().state.isActive)
        try wait(world)
        try world.service().deactivate(disk.string)
        #expect(world.kernel.remains == [])
    }

    @Test("Mounted, or not activated, it is refused; a dry run is one")
    func unfit() throws {
        let (world, disk, names, states) = try chain()
        try world.mount()
        func refusal() throws -> Sessions.ExitStatus? {
            #expect(throws: SessionsError.self) {
                try world.service().restore(online(names[0]))
            }?.exitStatus
        }
        #expect(try refusal() == .busy)
        try world.unmount()
        try world.kernel.setPrograms(1, on: world.origin())
        #expect(try refusal() == .busy)
        try world.kernel.setPrograms(0, on: world.origin())
        var dry = online(names[0])
        dry.dryRun = true
        #expect(try !world.service().restore(dry).isOnline)
        try check(world)
        try world.service().deactivate(disk.string)
        #expect(try refusal() == .usage)
        #expect(try world.kernel.bytes(of: disk) == states[3])
    }

    @Test("A program that opens it just before the table changes is seen, and nothing is done")
    func opened() throws {
        let (world, disk, names, states) = try chain()
        let origin = try world.origin()
        world.kernel.whenSuspended = { world.kernel.setPrograms(1, on: $0) }
        // The exchange sees nobody, since there is nothing to exchange.
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(online(names[0]))
        }
        #expect(error?.exitStatus == .busy)
        world.kernel.whenSuspended = { _ in }
        world.kernel.setPrograms(0, on: origin)
        #expect(try world.kernel.bytes(of: disk) == states[3])
        try check(world)
    }

    @Test("A merge that fails is told of; assembling takes it up again")
    func failed() throws {
        let (world, disk, names, states) = try chain()
        world.kernel.mergeSpeed = 0
        _ = try world.service().restore(online(names[0]))
        world.kernel.mergeSpeed = 1
        _ = try world.service().status()
        let id = try world.activation().id
        let origin = try world.origin()
        world.kernel.failMerge(origin)
        let status = try #require(try world.service().status().first)
        #expect(status.warning?.contains("dmsnap assemble") == true)
        #expect(status.merge?.failure != nil && status.merge?.isComplete == false)
        #expect(status.state == .armed)
        #expect(try world.kernel.contents(ofMapped: origin) == states[0])
        try world.mount()
        let error = #expect(throws: SessionsError.self) { try world.service().assemble(id) }
        #expect(error?.exitStatus == .busy)
        world.kernel.unmount(origin)
        guard case .assembled = try world.service().assemble(id) else {
            throw Unexpected("nothing was assembled")
        }
        #expect(try world.kernel.contents(ofMapped: origin) == states[0])
        try wait(world)
        #expect(try world.kernel.bytes(of: disk) == states[0])
        try check(world)
    }

    @Test("A reboot in the middle goes on, and the first of its sessions undoes it all")
    func reboot() throws {
        let (world, disk, names, states) = try chain(size: 128 << 10)
        world.kernel.mergeSpeed = 0
        _ = try world.service().restore(online(names[0]))
        try world.mount()
        try world.scribble(3)
        let shown = try world.kernel.contents(ofMapped: world.origin())
        for _ in 0..<2 {
            world.kernel.mergeSpeed = 1
            for _ in 0..<2 { _ = try world.service().status() }
            world.kernel.mergeSpeed = 0
            world.kernel.reboot()
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
            #expect(try world.kernel.contents(ofMapped: world.origin()) == shown)
            try check(world)
        }
        try wait(world)
        #expect(try world.kernel.bytes(of: disk) == shown)
        _ = try world.service().rollOver(world.activation().id)
        let parts = try world.sessions().dropFirst(3).map(\.record)
        try #require(parts.count == 3)
        #expect(parts.allSatisfy { $0.restoreOf?.text == names[0] })
        #expect(parts.map(\.continues) == [nil, parts[0].name, parts[0].name])
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: parts[2].name))
        }
        #expect(error?.exitStatus == .damaged)
        // Forced, it is put back to what the disk held then, and no reader ever saw: nothing is claimed.
        var forced = RestoreRequest(session: parts[2].name)
        forced.acceptsWrites = true
        #expect(try !world.service().restore(forced).isProven)
        _ = try world.service().restore(RestoreRequest(session: parts[0].name))
        #expect(try world.kernel.bytes(of: disk) == states[3])
        try check(world)
    }

    @Test("Without its store nothing is assembled; deactivating is the way out")
    func lostStore() throws {
        let (world, disk, names, states) = try chain()
        world.kernel.mergeSpeed = 0
        _ = try world.service().restore(online(names[0]))
        world.kernel.mergeSpeed = 1
        for _ in 0..<4 { _ = try world.service().status() }
        world.kernel.mergeSpeed = 0
        let activation = try world.activation()
        world.kernel.reboot()
        try TemporaryDirectory.patch(activation.mergingDirectory.appending("store"), at: 8, [9])
        let error = #expect(throws: SessionsError.self) {
            try world.service().assemble(activation.id)
        }
        #expect(error?.description.contains("deactivate the device") == true)
        #expect(try world.service().status().first?.state == .missing)
        #expect(try world.service().status().first?.warning != nil)
        try world.service().deactivate(disk.string)
        _ = try world.service().restore(RestoreRequest(session: names[0]))
        #expect(try world.kernel.bytes(of: disk) == states[0])
    }

    @Test("A registry from before there was such a thing is read")
    func oldRegistry() throws {
        let (world, _, _, _) = try chain()
        let text = try String(decoding: Files.read(world.layout.registry), as: UTF8.self)
        #expect(!text.contains("merge") && !text.contains("restored"))
        #expect(try world.activation().merge == nil)
    }
}

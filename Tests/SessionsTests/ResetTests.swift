import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// `reset`: back to before the last mount, once.
@Suite struct ResetTests {
    /// A device that was mounted once, and what it has held since.
    private func used() throws -> (World, FilePath, before: [UInt8]) {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        _ = try world.session()
        return (world, disk, try world.kernel.bytes(of: disk))
    }

    private func reset(_ world: World, _ device: String = "sda") throws -> RestoreOutcome? {
        let service = try world.service()
        return try service.resetRequest(for: device).map { try service.restore($0) }
    }

    @Test(
        "A mount that nobody has closed yet, its checkpoints and what came after are undone, and that once"
    )
    func once() throws {
        let (world, disk, before) = try used()
        try world.mount()
        try world.scribble()
        _ = try world.service().checkpoint(disk.string)
        try world.scribble()
        let used = #expect(throws: SessionsError.self) { try reset(world) }
        #expect(used?.exitStatus == .busy)
        try world.kernel.unmount(world.origin())
        // Outside a mount, as fsck does.
        try world.scribble()
        let outcome = try #require(try reset(world))
        #expect(outcome.isProven && outcome.chain.count >= 2)
        #expect(try world.kernel.bytes(of: disk) == before)
        #expect(try reset(world) == nil)
        #expect(try world.kernel.bytes(of: disk) == before)
        _ = try world.session()
        #expect(try reset(world)?.chain.count == 1)
        #expect(try world.kernel.bytes(of: disk) == before)
        try world.service().deactivate(disk.string)
        #expect(try reset(world) == nil)
    }

    @Test("What was mounted in the middle of an online restore goes back to what that ends in")
    func midway() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let before = try world.kernel.bytes(of: disk)
        let name = try world.session()
        world.kernel.mergeSpeed = 0
        var online = RestoreRequest(session: name)
        online.online = true
        _ = try world.service().restore(online)
        try world.mount()
        try world.scribble()
        try world.kernel.unmount(world.origin())
        world.kernel.mergeSpeed = 4
        for _ in 0..<100 where try world.activation().merge != nil {
            try world.service().recover(world.activation().id)
        }
        #expect(try world.kernel.bytes(of: disk) != before)
        #expect(try reset(world)?.isProven == true)
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    @Test("A mount that was merged into a restore is undone all the same, and to before it")
    func merged() throws {
        let (world, disk, before) = try used()
        _ = try world.session()
        _ = try reset(world)
        #expect(try reset(world) == nil)
        let base = try world.kernel.bytes(of: disk)
        let last = try world.session()
        _ = try world.service().keeper.delete([last])
        #expect(try world.kernel.bytes(of: disk) != base)
        #expect(try reset(world)?.isProven == true)
        #expect(try world.kernel.bytes(of: disk) == base)
        #expect(base == before)
    }

    enum Command: CaseIterable {
        case reset, restoreLatest

        func run(_ service: SnapshotService) throws {
            switch self {
            case .reset: _ = try service.resetRequest(for: "sda").map { try service.restore($0) }
            case .restoreLatest: _ = try service.restore(service.latestRequest(for: "sda"))
            }
        }
    }

    enum Meanwhile: CaseIterable {
        case nothing, monitor, boot
    }

    @Test(
        "Killed at any moment, the same command puts the device back to the same",
        arguments: Command.allCases,
        Meanwhile.allCases)
    func killed(_ command: Command, _ meanwhile: Meanwhile) throws {
        let (world, disk, before) = try used()
        try world.mount()
        for _ in 0..<4 { try world.scribble() }
        try world.unmount()
        let beginning = try world.moment()
        let steps = try Steps.counting { try command.run(world.service()) }.changes
        var parts = 0
        for step in 1...steps {
            try world.goBack(to: beginning)
            let last = Steps.dying(before: step) { try command.run(world.service()) }
            switch meanwhile {
            case .nothing: break
            case .monitor: try world.monitor()
            case .boot: try world.boot()
            }
            let what = "dead before step \(step), \(last)"
            let isBack = try world.kernel.bytes(of: disk) == before
            // Whoever sees that it is back wants it to stay so.
            if isBack, command == .restoreLatest { continue }
            try command.run(world.service())
            #expect(try world.kernel.bytes(of: disk) == before, "\(what)")
            let left = try world.sessions().filter(\.record.isOfPartOfRestore)
            #expect(left.allSatisfy { $0.record.restoreOf != nil })
            parts += left.isEmpty ? 0 : 1
            // And once it is back there is nothing more to do.
            if command == .reset { #expect(try reset(world) == nil, "\(what)") }
        }
        #expect(parts > 2)
    }

    @Test(
        "Where something wrote past the origin since, it is refused; never mounted, there is nothing to do"
    )
    func refused() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let none = #expect(throws: SessionsError.self) { try reset(world) }
        #expect(none?.exitStatus == .noInput)
        _ = try world.session()
        try world.service().deactivate(disk.string)
        try TemporaryDirectory.patch(disk, at: 512, [1, 2, 3])
        try world.activate(disk)
        let written = try world.kernel.bytes(of: disk)
        let error = #expect(throws: SessionsError.self) { try reset(world) }
        #expect(error?.exitStatus == .damaged)
        // A session of the new chain, of no mount, doesn't hide that.
        try world.scribble()
        let again = #expect(throws: SessionsError.self) { try reset(world) }
        #expect(again?.exitStatus == .damaged)
        #expect(try world.kernel.bytes(of: disk) != written)
    }
}

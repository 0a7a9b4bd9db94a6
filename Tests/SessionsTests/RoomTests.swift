import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Too little room where stores lie.
@Suite struct RoomTests {
    private let little = ByteCount(800 << 20)
    private let enough = ByteCount(50 << 30)

    @Test("Below the reserve nothing is activated, and nothing of it is left")
    func activate() throws {
        let world = try World()
        world.kernel.free = little
        let error = #expect(throws: SessionsError.self) { try world.activate(world.disk()) }
        #expect(error?.exitStatus == .ioError)
        #expect(error?.description.contains("store.reserve") == true)
        #expect(world.kernel.remains == [])
        #expect(try world.service().activations().isEmpty)
    }

    @Test("Below it no store follows: mounts go on, told of as lost, and older sessions stay whole")
    func exchange() throws {
        let world = try World()
        let disk = try world.disk()
        let before = try world.kernel.bytes(of: disk)
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        world.kernel.free = little
        guard case .closed(let whole) = try world.unmount() else { throw Unexpected("no session") }
        #expect(whole.record.state == .closed)
        let status = try #require(world.service().status().first)
        #expect(!status.captured && status.state == .invalid)
        #expect(status.warning?.contains("store.reserve") == true)
        // Until something is written past it, the device can be put back.
        let activation = try world.activation()
        #expect(try world.service().rollOver(activation.id).isNothing)
        #expect(world.kernel.suspended == [])

        guard case .opened = try world.mount() else { throw Unexpected("no session") }
        try world.scribble()
        guard case .closed(let lost) = try world.unmount() else { throw Unexpected("no session") }
        #expect(lost.record.state == .invalid)
        #expect(lost.record.loss?.contains("store.reserve") == true)
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(RestoreRequest(session: whole.record.name))
        }
        #expect(error?.exitStatus == .damaged)

        world.kernel.free = enough
        // Nothing was written since.
        guard case .dropped = try world.service().rollOver(activation.id) else {
            throw Unexpected("not armed again")
        }
        #expect(try world.service().status().first?.captured == true)
        let middle = try world.kernel.bytes(of: disk)
        try world.mount()
        try world.scribble()
        guard case .closed(let next) = try world.unmount() else { throw Unexpected("no session") }
        _ = try world.service().restore(RestoreRequest(session: next.record.name))
        #expect(try world.kernel.bytes(of: disk) == middle)
        #expect(before != middle)
        try world.service().deactivate(disk.string)
        #expect(world.kernel.remains == [])
    }

    @Test("What was not captured and not written either is no gap")
    func unwritten() throws {
        let world = try World()
        let disk = try world.disk()
        let before = try world.kernel.bytes(of: disk)
        try world.activate(disk)
        let name = try { () in
            try world.mount()
            try world.scribble()
            world.kernel.free = little
            guard case .closed(let session) = try world.unmount() else {
                throw Unexpected("no session")
            }
            return session.record.name
        }()
        // Mounted for reading.
        try world.mount()
        guard case .dropped = try world.unmount() else { throw Unexpected("a session") }
        world.kernel.free = enough
        guard case .dropped = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("not armed again")
        }
        _ = try world.service().restore(RestoreRequest(session: name))
        #expect(try world.kernel.bytes(of: disk) == before)
        // Where nobody counts, nobody knows.
        world.kernel.countsWrites = false
        world.kernel.free = little
        try world.mount()
        try world.scribble()
        try world.unmount()
        world.kernel.free = enough
        guard case .closed(let gap) = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("no gap")
        }
        #expect(gap.record.state == .invalid)
    }

    @Test("A boot below it puts the device together with nothing to capture; then it is as before")
    func boot() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        world.kernel.free = little
        world.kernel.reboot()
        for _ in 0..<2 {
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
            #expect(try world.service().status().first?.captured == false)
            #expect(world.kernel.number(ofMapped: "dmsnap-sda") != nil)
            world.kernel.reboot()
        }
        world.kernel.free = enough
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        #expect(try world.service().status().first?.captured == true)
        let middle = try world.kernel.bytes(of: disk)
        let name = try world.session()
        _ = try world.service().restore(RestoreRequest(session: name))
        #expect(try world.kernel.bytes(of: disk) == middle)
    }

    @Test(
        "A store that is given up frees what it took, and says why its session is lost; under a view it stays",
        arguments: [false, true])
    func givenUp(isLookedInto: Bool) throws {
        let world = try World()
        try world.activate(world.disk())
        try world.mount()
        try world.scribble()
        let observer = try world.service().observer
        let watched = try #require(observer.watched().first)
        #expect(observer.room(watched)?.emergency == nil)
        world.kernel.free = ByteCount(500 << 20)
        let emergency = try #require(observer.room(watched)?.emergency)
        let store = Layout.store(in: try #require(world.sessions().first).directory)
        let size = try FileStatus(store).size.bytes
        if isLookedInto { try world.kernel.attachByHand(store, as: 40, isReadOnly: true) }
        #expect(try observer.giveUp(watched, emergency))
        // Another store has taken over since, or nothing has.
        #expect(try world.service().status().first?.captured == false)
        #expect(try world.service().status().first?.state == .invalid)
        let session = try #require(world.sessions().first)
        #expect(session.record.state == .invalid && session.record.loss == emergency)
        #expect(try FileStatus(store).size.bytes == (isLookedInto ? size : 0))
        #expect(world.kernel.suspended == [])
        world.kernel.free = enough
        guard case .closed = try world.unmount() else { throw Unexpected("no end") }
        #expect(try world.service().status().first?.captured == true)
    }

    @Test(
        "A store is as large as it may get, and no store's size is one that the kernel trips over")
    func limit() throws {
        for (limit, size) in [("64K", 64 << 10), ("10%", nil), ("1K", 3 << 10), ("1T", nil)] {
            let world = try World()
            try Files.makeDirectory(world.layout.configuration.removingLastComponent())
            try Files.replace(
                world.layout.configuration, with: Array("[store]\nlimit = \"\(limit)\"\n".utf8))
            let activation = try world.activate(world.disk())
            let store = try FileStatus(Layout.store(in: activation.directory)).size
            if let size { #expect(store.bytes == UInt64(size)) }
            if limit == "10%" { #expect(store.bytes <= activation.size.bytes / 10) }
            if limit == "1T" { #expect(store.bytes > activation.size.bytes) }
        }
    }

    @Test("A part is a size or a share of the whole; what is neither is refused")
    func shares() {
        #expect(Share(parsing: "10G") == .bytes(ByteCount(10 << 30)))
        #expect(Share(parsing: "0K") == .bytes(ByteCount(0)))
        #expect(Share(parsing: "5%")?.of(ByteCount(.max)).bytes == 922_337_203_685_477_580)
        #expect(Share(parsing: "100%")?.of(ByteCount(.max)).bytes == .max)
        for text in ["", "%", "G", "101%", "-1%", "+5%", "5", "5 %", "1.5G", "99999999T", "5g"] {
            #expect(Share(parsing: text) == nil, "\(text)")
        }
    }
}

extension RolloverOutcome {
    fileprivate var isNothing: Bool {
        if case .nothingToDo = self { true } else { false }
    }
}

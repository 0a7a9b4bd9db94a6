import Block
import ExceptionStore
import KernelSimulation
import Restore
import StoreTesting
import Synchronization
import SystemPackage
import Testing

@testable import Sessions

/// Devices that are put back by themselves.
@Suite struct PutBackTests {
    /// A device with a policy, and what it was when that was set.
    private struct Kiosk {
        let world: World
        let path: FilePath
        /// A session from before the policy, and what the device was before that.
        let older: (name: String, before: [UInt8])
        let base: [UInt8]

        init(
            _ at: RestoreAt, keep: Int = 0, isImage: Bool = false, size: Int = 64 << 10
        ) throws {
            world = try World()
            path = try isImage ? world.image(size: size) : world.disk(size: size)
            try world.activate(path)
            let before = try world.kernel.bytes(of: path)
            older = (try world.session(), before)
            base = try world.kernel.bytes(of: path)
            _ = try world.service().set(
                path.string, PolicyChange(restoreAt: at, keep: keep == 0 ? nil : keep))
        }

        var policy: RestorePolicy {
            get throws { try #require(try world.activation().restorePolicy) }
        }

        func device() throws -> [UInt8] { try world.kernel.bytes(of: path) }

        /// A mount that writes, up to its unmount.
        func use() throws {
            try world.mount()
            try world.scribble()
            try world.kernel.unmount(world.origin())
        }

        /// Does what is due, as the monitor does, until nothing is.
        @discardableResult
        func settle() throws -> [PutBackOutcome] {
            var outcomes: [PutBackOutcome] = []
            for _ in 0..<100 {
                let service = try world.service()
                for one in try service.observer.watched() {
                    if one.merge?.isComplete == true { try service.recover(one.activation.id) }
                    if one.uses.isEmpty { _ = try service.rollOver(one.activation.id) }
                }
                let now = try world.activation()
                guard now.merge == nil else { continue }
                guard now.isToBePutBack else { break }
                outcomes.append(try service.putBack(now.id))
            }
            try world.service().dropRoundTrips(world.activation().id)
            return outcomes
        }

        /// Whether what was there before the policy still leads back.
        func olderRestores() throws -> Bool {
            try world.service().set(path.string, PolicyChange(restoreAt: .never))
            let outcome = try world.service().restore(RestoreRequest(session: older.name))
            return try outcome.isProven && device() == older.before
        }

        func boot() throws {
            world.kernel.reboot()
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        }
    }

    @Test(
        "After each last unmount it is what it was before, no session is left of that, and older ones restore",
        arguments: [false, true])
    func unmounted(isImage: Bool) throws {
        let kiosk = try Kiosk(.unmount, isImage: isImage)
        for _ in 0..<4 {
            try kiosk.use()
            #expect(try kiosk.device() != kiosk.base)
            let outcomes = try kiosk.settle()
            guard outcomes.count == 2, case .begun = outcomes[0], case .isBack = outcomes[1] else {
                Issue.record("\(outcomes)")
                return
            }
            #expect(try kiosk.device() == kiosk.base)
            #expect(try kiosk.world.sessions().map(\.record.name.text) == [kiosk.older.name])
            #expect(try kiosk.policy.failure == nil && !kiosk.policy.isDue)
            try check(kiosk.world)
        }
        let status = try #require(try kiosk.world.service().status().first)
        #expect(status.restoreAt == .unmount && status.base == "last" && status.warning == nil)
        #expect(try kiosk.olderRestores())
    }

    @Test("From the end of its session until it is back, and no longer, it is being restored")
    func restoring() throws {
        let kiosk = try Kiosk(.unmount)
        func state() throws -> DeviceStatus.State? {
            try kiosk.world.service().status().first?.state
        }
        try kiosk.world.mount()
        try kiosk.world.scribble()
        #expect(try state() == .open)
        kiosk.world.kernel.unmount(try kiosk.world.origin())
        kiosk.world.kernel.mergeSpeed = 0
        let service = try kiosk.world.service()
        let id = try kiosk.world.activation().id
        _ = try service.rollOver(id)
        #expect(try state() == .restoring)
        guard case .begun = try service.putBack(id) else { throw Unexpected("it was not begun") }
        let status = try #require(try service.status().first)
        #expect(status.state == .restoring && status.captured && status.merge != nil)
        kiosk.world.kernel.mergeSpeed = 1
        try kiosk.settle()
        #expect(try state() == .armed)
    }

    @Test("A mount that wrote nothing leaves nothing to be put back")
    func untouched() throws {
        let kiosk = try Kiosk(.unmount)
        try kiosk.world.mount()
        try kiosk.world.kernel.unmount(kiosk.world.origin())
        #expect(try kiosk.settle().isEmpty)
        #expect(try kiosk.device() == kiosk.base)
    }

    @Test("The last times that it was put back can be undone, as many as were asked for")
    func kept() throws {
        let kiosk = try Kiosk(.unmount, keep: 2)
        var written: [[UInt8]] = []
        for _ in 0..<4 {
            try kiosk.use()
            written.append(try kiosk.device())
            try kiosk.settle()
        }
        let sessions = try kiosk.world.sessions().map(\.record)
        #expect(sessions.count == 5)
        let undoing = try #require(sessions.last)
        #expect(undoing.restoreOf == sessions[3].name)
        _ = try kiosk.world.service().restore(RestoreRequest(session: undoing.name))
        #expect(try kiosk.device() == written[3])
        // By hand: nobody takes it back.
        #expect(try kiosk.settle().isEmpty)
        #expect(try kiosk.device() == written[3])
        _ = try kiosk.world.service().restore(RestoreRequest(session: sessions[2].name))
        #expect(try kiosk.device() == written[2])
        try kiosk.world.service().set(kiosk.path.string, PolicyChange(keep: 0))
        try kiosk.settle()
        #expect(try kiosk.policy.roundTrips.isEmpty)
        #expect(try kiosk.olderRestores())
    }

    @Test(
        "Who mounts it before the kernel has begun isn't refused, and it is put back at the end of that"
    )
    func mountedFirst() throws {
        let kiosk = try Kiosk(.unmount)
        try kiosk.use()
        let id = try kiosk.world.activation().id
        _ = try kiosk.world.service().rollOver(id)
        let left = try kiosk.device()
        let world = kiosk.world
        let origin = try world.origin()
        let hasMounted = Mounting(world.kernel, origin)
        let outcome = try world.service().putBack(
            id, control: .init(report: { _ in hasMounted.once() }))
        guard case .notNow = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(hasMounted.isDone)
        #expect(try kiosk.device() == left && world.activation().merge == nil)
        _ = try world.service().openSession(origin)
        try world.scribble()
        world.kernel.unmount(origin)
        try kiosk.settle()
        #expect(try kiosk.device() == kiosk.base)
        #expect(try kiosk.world.sessions().count == 1)
        try check(world)
    }

    @Test("Who mounts it while the kernel puts it back sees its base, and what he writes goes, too")
    func mountedMeanwhile() throws {
        let kiosk = try Kiosk(.unmount)
        let world = kiosk.world
        world.kernel.mergeSpeed = 0
        try kiosk.use()
        let id = try world.activation().id
        _ = try world.service().rollOver(id)
        guard case .begun = try world.service().putBack(id) else { throw Unexpected("no merge") }
        #expect(try world.kernel.contents(ofMapped: world.origin()) == kiosk.base)
        try world.mount()
        #expect(try world.kernel.contents(ofMapped: world.origin()) == kiosk.base)
        try world.scribble()
        world.kernel.mergeSpeed = 4
        _ = try kiosk.settle()
        try world.kernel.unmount(world.origin())
        try kiosk.settle()
        #expect(try kiosk.device() == kiosk.base)
        #expect(try world.sessions().count == 1)
        #expect(try kiosk.olderRestores())
    }

    @Test("A mount in the middle that nobody has seen shows in the end, and it is put back again")
    func unseen() throws {
        let kiosk = try Kiosk(.unmount)
        let world = kiosk.world
        for round in 1...2 {
            world.kernel.mergeSpeed = 0
            try kiosk.use()
            let id = try world.activation().id
            _ = try world.service().rollOver(id)
            guard case .begun = try world.service().putBack(id) else {
                throw Unexpected("no merge")
            }
            try world.kernel.mount(world.origin())
            try world.scribble()
            try world.kernel.unmount(world.origin())
            world.kernel.mergeSpeed = 4
            #expect(try kiosk.settle().count == 2, "\(round)")
            #expect(try kiosk.device() == kiosk.base)
            #expect(try world.sessions().count == 1 && kiosk.policy.differences == 0)
        }
    }

    @Test(
        "After a boot it is what it was before it was mounted, whether it was unmounted or not",
        arguments: [RestoreAt.boot, .unmount], [false, true])
    func booted(_ at: RestoreAt, isUnmounted: Bool) throws {
        let kiosk = try Kiosk(at)
        for _ in 0..<3 {
            for _ in 0..<2 {
                try kiosk.use()
                _ = try kiosk.world.service().rollOver(kiosk.world.activation().id)
            }
            try kiosk.world.mount()
            try kiosk.world.scribble()
            if isUnmounted { try kiosk.world.unmount() }
            #expect(try kiosk.device() != kiosk.base)
            try kiosk.boot()
            #expect(try kiosk.device() == kiosk.base)
            #expect(try kiosk.world.sessions().count == 1)
            #expect(try kiosk.policy.failure == nil && !kiosk.policy.isDue)
            try check(kiosk.world)
        }
        #expect(try kiosk.olderRestores())
    }

    @Test("What a boot puts back can be undone where that was asked for; until the boot nothing is")
    func bootKept() throws {
        let kiosk = try Kiosk(.boot, keep: 1)
        try kiosk.use()
        #expect(try kiosk.settle().isEmpty)
        let written = try kiosk.device()
        try kiosk.boot()
        #expect(try kiosk.device() == kiosk.base)
        let undoing = try #require(try kiosk.world.sessions().last?.record)
        #expect(undoing.kind == .offline && undoing.restoreOf != nil)
        _ = try kiosk.world.service().restore(RestoreRequest(session: undoing.name))
        #expect(try kiosk.device() == written)
    }

    @Test(
        "What is written outside a mount is put back, too; what is restored by hand stays, until a base is named"
    )
    func outside() throws {
        let kiosk = try Kiosk(.unmount)
        try kiosk.world.scribble()
        #expect(try kiosk.settle().count == 2)
        #expect(try kiosk.device() == kiosk.base)
        let first = kiosk.older.name
        let undoing = try #require(
            try kiosk.world.service().restore(RestoreRequest(session: first)).undo)
        for _ in 0..<2 {
            try kiosk.use()
            try kiosk.settle()
            #expect(try kiosk.device() == kiosk.older.before)
        }
        _ = try kiosk.world.service().restore(RestoreRequest(session: undoing))
        try kiosk.settle()
        #expect(try kiosk.device() == kiosk.base)
        try kiosk.world.service().set(kiosk.path.string, PolicyChange(base: .session(first)))
        #expect(try kiosk.settle().isEmpty)
        #expect(try kiosk.world.sessions().first?.record.isPinned == true)
        #expect(try kiosk.world.service().status().first?.base == first)
        for _ in 0..<2 {
            try kiosk.world.scribble()
            try kiosk.settle()
            try kiosk.use()
            try kiosk.settle()
            #expect(try kiosk.device() == kiosk.older.before)
        }
        try kiosk.world.scribble()
        try kiosk.settle()
        try kiosk.boot()
        #expect(try kiosk.device() == kiosk.older.before)
    }

    @Test("Where something wrote past it, it isn't put back, says so, and goes on from a new base")
    func broken() throws {
        let kiosk = try Kiosk(.unmount)
        try kiosk.world.mount()
        try kiosk.world.scribble()
        try kiosk.world.service().observer.markBroken(kiosk.world.activation().id, "somebody wrote")
        try kiosk.world.kernel.unmount(kiosk.world.origin())
        let left = try kiosk.device()
        let error = #expect(throws: SessionsError.self) { try kiosk.settle() }
        #expect(error?.exitStatus == .damaged)
        #expect(try kiosk.device() == left)
        let status = try #require(try kiosk.world.service().status().first)
        #expect(status.state == .armed)
        let warning = try #require(status.warning)
        #expect(warning.hasPrefix("not put back: ") && warning.contains("--base last"))
        try kiosk.boot()
        #expect(try kiosk.device() == left)
        try kiosk.world.service().set(kiosk.path.string, PolicyChange(base: .last))
        #expect(try kiosk.world.service().status().first?.warning == nil)
        try kiosk.use()
        try kiosk.settle()
        #expect(try kiosk.device() == left)
    }

    @Test(
        "A damaged store writes nothing, and the device is there as it was left",
        arguments: [false, true])
    func damaged(isBoot: Bool) throws {
        let kiosk = try Kiosk(isBoot ? .boot : .unmount)
        try kiosk.use()
        _ = try kiosk.world.service().rollOver(kiosk.world.activation().id)
        let left = try kiosk.device()
        let session = try #require(try kiosk.world.sessions().last)
        let store = Layout.store(in: session.directory)
        let whole = try Files.read(store)
        try TemporaryDirectory.patch(store, at: 0, [1, 2, 3, 4])
        if isBoot {
            try kiosk.boot()
        } else {
            #expect(throws: SessionsError.self) { try kiosk.settle() }
        }
        #expect(try kiosk.device() == left)
        #expect(try kiosk.policy.failure?.contains(session.record.name.text) == true)
        try check(kiosk.world)
        try TemporaryDirectory.patch(store, at: 0, Array(whole.prefix(4)))
        if isBoot {
            try kiosk.boot()
        } else {
            try kiosk.settle()
        }
        #expect(try kiosk.device() == kiosk.base && kiosk.policy.failure == nil)
    }

    @Test(
        "Without room for what it overwrites a boot leaves the device as it was, and the next puts it back"
    )
    func noRoom() throws {
        let kiosk = try Kiosk(.boot)
        try kiosk.use()
        _ = try kiosk.world.service().rollOver(kiosk.world.activation().id)
        let left = try kiosk.device()
        kiosk.world.kernel.free = ByteCount(100)
        try kiosk.boot()
        #expect(try kiosk.device() == left)
        #expect(try kiosk.policy.failure?.contains("make room") == true)
        kiosk.world.kernel.free = ByteCount(50 << 30)
        try kiosk.settle()
        try kiosk.boot()
        #expect(try kiosk.device() == kiosk.base)
    }

    @Test("What it is put back through can't be deleted, and isn't pruned")
    func needed() throws {
        let kiosk = try Kiosk(.boot)
        try kiosk.use()
        _ = try kiosk.world.service().rollOver(kiosk.world.activation().id)
        let name = try #require(try kiosk.world.sessions().last?.record.name.text)
        let error = #expect(throws: SessionsError.self) {
            try kiosk.world.service().keeper.delete([name])
        }
        #expect("\(try #require(error))".contains("is put back through it"))
        try kiosk.world.service().keeper.delete([kiosk.older.name])
        #expect(try kiosk.world.sessions().map(\.record.name.text) == [name])
        try kiosk.boot()
        #expect(try kiosk.device() == kiosk.base)
        #expect(try kiosk.world.sessions().isEmpty)
    }

    @Test("A pinned session keeps what it was put back from")
    func pinned() throws {
        let kiosk = try Kiosk(.unmount)
        try kiosk.use()
        _ = try kiosk.world.service().rollOver(kiosk.world.activation().id)
        let name = try #require(try kiosk.world.sessions().last?.record.name.text)
        try kiosk.world.service().keeper.pin([name], true)
        try kiosk.settle()
        #expect(try kiosk.world.sessions().count == 3)
        #expect(try kiosk.policy.roundTrips.isEmpty)
        #expect(try kiosk.device() == kiosk.base)
    }

    @Test(
        "After maintenance its base is what it is then, though nobody has closed that session yet")
    func maintained() throws {
        let kiosk = try Kiosk(.unmount)
        let service = try kiosk.world.service()
        try service.set(kiosk.path.string, PolicyChange(restoreAt: .never))
        try kiosk.use()
        let changed = try kiosk.device()
        try service.set(kiosk.path.string, PolicyChange(restoreAt: .unmount))
        #expect(try kiosk.settle().isEmpty)
        #expect(try kiosk.device() == changed)
        try kiosk.use()
        try service.set(kiosk.path.string, PolicyChange(base: .last))
        let again = try kiosk.device()
        #expect(try kiosk.settle().isEmpty)
        try kiosk.world.mount()
        try kiosk.world.scribble()
        // In the middle of a mount it is what it was before that.
        try service.set(kiosk.path.string, PolicyChange(base: .last))
        try kiosk.world.kernel.unmount(kiosk.world.origin())
        try kiosk.settle()
        #expect(try kiosk.device() == again)
    }

    @Test("What can't be set is refused, and says what can")
    func refused() throws {
        let kiosk = try Kiosk(.unmount)
        let service = try kiosk.world.service()
        let path = kiosk.path.string
        #expect(throws: SessionsError.self) {
            try service.set(path, PolicyChange(base: .session("nonsense")))
        }
        try service.set(path, PolicyChange(restoreAt: .never))
        #expect(try kiosk.world.activation().restorePolicy == nil)
        let none = #expect(throws: SessionsError.self) {
            try service.set(path, PolicyChange(keep: 2))
        }
        #expect("\(try #require(none))".contains("--restore-at"))
        #expect(throws: SessionsError.self) {
            try service.set(path, PolicyChange(restoreAt: .boot, keep: -1))
        }
        try service.deactivate(path)
        try kiosk.world.activate(kiosk.path)
        let earlier = #expect(throws: SessionsError.self) {
            try service.set(
                path, PolicyChange(restoreAt: .boot, base: .session(kiosk.older.name)))
        }
        #expect("\(try #require(earlier))".contains("--base last"))
        try service.deactivate(path)
        _ = try service.activate(path, .init(.overlay(.never), chunkSize: .init(parsing: "1K")))
        #expect(throws: SessionsError.self) { try service.set(path, PolicyChange(base: .last)) }
    }

    @Test("Asked for when it is activated, and by a rule")
    func requested() throws {
        let world = try World()
        let disk = try world.disk()
        _ = try world.service().activate(
            disk.string, .init(putBackAt: .unmount, chunkSize: .init(parsing: "1K")))
        #expect(try world.activation().timeOfRestore == .unmount)
        let other = #expect(throws: SessionsError.self) {
            _ = try world.service().activate(disk.string, .init(putBackAt: .boot))
        }
        #expect("\(try #require(other))".contains("dmsnap set"))
        guard case .alreadyActive = try world.service().activate(disk.string) else {
            throw Unexpected("it was activated anew")
        }
    }
}

/// Mounts a device once, from whatever thread.
private final class Mounting: Sendable {
    private let kernel: SimulatedKernel
    private let name: String
    private let done = Mutex(false)

    init(_ kernel: SimulatedKernel, _ name: String) {
        self.kernel = kernel
        self.name = name
    }

    var isDone: Bool { done.withLock { $0 } }

    func once() {
        let isFirst = done.withLock { done in
            defer { done = true }
            return !done
        }
        if isFirst { try? kernel.mount(name, at: "/mnt") }
    }
}

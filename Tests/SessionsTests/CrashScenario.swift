import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Something that dmsnap does, to be interrupted at every step of it.
struct CrashScenario: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let isImage: Bool
    /// Whether it deactivates, so that there may be nothing left to do.
    var ends = false
    /// Whether writing is part of it, so that it may leave a device between two states.
    var writes = false
    let prepare: @Sendable (Crashed) throws -> Void
    let act: @Sendable (Crashed) throws -> Void

    init(
        _ description: String, isImage: Bool = false, ends: Bool = false, writes: Bool = false,
        prepare: @escaping @Sendable (Crashed) throws -> Void,
        act: @escaping @Sendable (Crashed) throws -> Void
    ) {
        testDescription = description
        self.isImage = isImage
        self.ends = ends
        self.writes = writes
        self.prepare = prepare
        self.act = act
    }

    static let all = plain + online + puttingBack

    private static let plain = [
        CrashScenario("activating a disk", prepare: { _ in }, act: { try $0.activate() }),
        CrashScenario(
            "activating an image", isImage: true, prepare: { _ in }, act: { try $0.activate() }),
        CrashScenario(
            "activating again, with a chain to go on with",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.session()
                try $0.deactivate()
            }, act: { try $0.activate() }),
        CrashScenario(
            "opening a session",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.kernel.mount($0.world.origin())
                try $0.write()
            },
            act: { _ = try $0.world.service().openSession($0.world.origin()) }),
        CrashScenario(
            "closing a session",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.mount()
                try $0.write()
                try $0.world.kernel.unmount($0.world.origin())
            }, act: { try $0.rollOver() }),
        CrashScenario(
            "closing a session of an image", isImage: true,
            prepare: {
                try $0.activate()
                try $0.world.mount()
                try $0.write()
                try $0.world.kernel.unmount($0.world.origin())
            }, act: { try $0.rollOver() }),
        CrashScenario(
            "closing a session without a write",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.mount()
                try $0.world.kernel.unmount($0.world.origin())
            }, act: { try $0.rollOver() }),
        CrashScenario(
            "closing a session with no room for the next store",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.mount()
                try $0.write()
                try $0.world.kernel.unmount($0.world.origin())
                $0.world.kernel.free = ByteCount(1 << 20)
            }, act: { try $0.rollOver() }),
        CrashScenario(
            "taking a checkpoint",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.mount()
                try $0.write()
            },
            act: { _ = try $0.world.service().checkpoint($0.path.string) }),
        CrashScenario(
            "making an offline session",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.write()
            }, act: { try $0.rollOver() }),
        CrashScenario(
            "deactivating an armed device", ends: true,
            prepare: {
                try $0.activate()
                try $0.session()
            }, act: { try $0.deactivate() }),
        CrashScenario(
            "deactivating an image with a session that is over", isImage: true, ends: true,
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.mount()
                try $0.write()
                try $0.world.kernel.unmount($0.world.origin())
            }, act: { try $0.deactivate() }),
        CrashScenario(
            "restoring through an armed device", writes: true,
            prepare: {
                try $0.activate()
                for _ in 0..<2 { try $0.session() }
                try $0.archive()
                try $0.session()
            }, act: { try $0.restore(0) }),
        CrashScenario(
            "making archives",
            prepare: {
                try $0.activate()
                for _ in 0..<2 { try $0.session() }
            }, act: { try $0.archive() }),
        CrashScenario(
            "assembling after a reboot with a session open",
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.world.mount()
                try $0.write()
                $0.world.kernel.reboot()
            }, act: { try $0.assemble() }),
        CrashScenario(
            "assembling an image after a reboot, armed", isImage: true,
            prepare: {
                try $0.activate()
                try $0.session()
                $0.world.kernel.reboot()
            }, act: { try $0.assemble() }),
    ]
}

extension CrashScenario {
    private static let online = [
        CrashScenario(
            "restoring online", writes: true,
            prepare: {
                try $0.activate()
                for _ in 0..<2 { try $0.session() }
            }, act: { try $0.restoreOnline(1) }),
        CrashScenario(
            "assembling with an online restore half done, and ending it", isImage: true,
            writes: true,
            prepare: {
                try $0.activate()
                try $0.session()
                $0.world.kernel.mergeSpeed = 0
                try $0.restoreOnline(0)
                $0.world.kernel.mergeSpeed = 4
                _ = try $0.world.service().status()
                $0.world.kernel.mergeSpeed = 1
                $0.world.kernel.reboot()
            },
            act: {
                try $0.assemble()
                $0.world.kernel.mergeSpeed = 100
                try $0.recover()
            }),
    ]
}

extension CrashScenario {
    private static let puttingBack = [
        CrashScenario(
            "putting back at the last unmount", writes: true,
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.set(.unmount)
                try $0.world.mount()
                try $0.write()
                try $0.world.kernel.unmount($0.world.origin())
            },
            act: {
                try $0.rollOver()
                try $0.putBack()
            }),
        CrashScenario(
            "putting back at a boot", isImage: true, writes: true,
            prepare: {
                try $0.activate()
                try $0.session()
                try $0.set(.boot)
                try $0.world.mount()
                try $0.write()
                $0.world.kernel.reboot()
            }, act: { try $0.assemble() }),
    ]
}

/// One run of a scenario: the world, and every contents that the device had while nobody wrote.
final class Crashed {
    let world: World
    let path: FilePath
    /// What must be there to go back to, the oldest first; the first is that before everything.
    private(set) var states: [[UInt8]]
    private(set) var names: [String] = []
    private let writes: Bool
    /// The state that an online restore goes back to.
    private var goal: Int?
    /// The state that it is put back to by itself.
    private var base: Int?

    init(_ scenario: CrashScenario, seed: UInt64) throws {
        world = try World(seed: seed)
        writes = scenario.writes
        let size = 24 << 10
        path = try scenario.isImage ? world.image("an image", size: size) : world.disk(size: size)
        states = [try world.kernel.bytes(of: path)]
        try scenario.prepare(self)
    }

    func activate() throws { try world.activate(path) }

    func deactivate() throws { try world.service().deactivate(path.string) }

    func session() throws {
        names.append(try world.session(writes: 3))
        try note()
    }

    func write() throws {
        try world.scribble(3)
        try note()
    }

    private func note() throws {
        let now = try world.kernel.bytes(of: path)
        if now != states.last { states.append(now) }
    }

    func archive() throws {
        let service = try world.service()
        for session in try service.archiver.unarchived() { try service.archiver.archive(session) }
    }

    func rollOver() throws { _ = try world.service().rollOver(world.activation().id) }

    func restore(_ index: Int) throws {
        _ = try world.service().restore(RestoreRequest(session: names[index]))
    }

    func restoreOnline(_ index: Int) throws {
        var request = RestoreRequest(session: names[index])
        request.online = true
        goal = index
        do {
            _ = try world.service().restore(request)
        } catch SessionsError.busy {
            // Had it begun, it goes on.
            if try world.activation().merge == nil { throw Unexpected("a use") }
        }
    }

    /// Put back to what it is now, and all that it was can be undone.
    func set(_ time: RestoreAt) throws {
        try world.service().set(path.string, PolicyChange(restoreAt: time, keep: 9))
        base = states.count - 1
    }

    /// What the monitor does as long as something is to be put back.
    func putBack() throws {
        let service = try world.service()
        for _ in 0..<10 {
            guard let due = try service.activations().first(where: \.isToBePutBack) else { return }
            _ = try service.putBack(due.id)
            try endMerges()
            _ = try service.rollOver(due.id)
        }
    }

    private func endMerges() throws {
        let service = try world.service()
        for _ in 0..<200 {
            guard try service.activations().contains(where: { $0.merge != nil }) else { return }
            for watched in try service.observer.watched() where watched.merge?.isComplete == true {
                try service.recover(watched.activation.id)
            }
        }
    }

    func recover() throws { try world.service().recover(world.activation().id) }

    func assemble() throws {
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
    }

    /// What the monitor does when it starts, and then with each device.
    func monitor() throws {
        world.kernel.mergeSpeed = 100
        let service = try world.service()
        for activation in try service.activations() { try service.recover(activation.id) }
        for activation in try service.missing() { _ = try service.assemble(activation.id) }
        try endMerges()
        for watched in try service.observer.watched() {
            if watched.uses.isEmpty {
                _ = try service.rollOver(watched.activation.id)
            } else {
                _ = try service.observer.openSession(watched)
            }
        }
        try putBack()
    }

    /// Where there was no room for a store, and nobody can know any more whether something was written
    /// then (nothing was), that time is a gap, which is taken away here.
    private func forgetUncaptured() throws -> Bool {
        var isUncertain = false
        for session in try world.sessions() {
            if session.record.loss?.contains("store.reserve") == true {
                try Files.removeDirectory(session.directory)
                isUncertain = true
            }
            isUncertain = isUncertain || session.record.broken?.contains("given up") == true
        }
        return isUncertain
    }

    /// Goes back through every session, the latest first, and finds every state again.
    func verify(_ what: String) throws {
        // An online restore has either not happened, or has come to its end.
        if let goal,
            ![states[goal], states[states.count - 1]].contains(
                try world.kernel.bytes(of: path))
        {
            Issue.record("\(what): the restore is neither whole nor not begun")
        }
        if let base, try world.kernel.bytes(of: path) != states[base] {
            let policy = try world.activation().restorePolicy
            if policy?.at == .unmount || policy?.failure == nil {
                Issue.record("\(what): it is not put back")
            }
        }
        if world.isShort {
            world.kernel.free = ByteCount(50 << 30)
            try monitor()
        }
        for activation in try world.service().activations() {
            let name = try world.origin(activation)
            for _ in 0..<2 { world.kernel.unmount(name) }
            _ = try world.service().deactivate(activation.path.text)
        }
        if world.kernel.remains != [] { Issue.record("\(what): \(world.kernel.remains) is left") }
        var left = states.dropLast()
        let isUncertain = try forgetUncaptured()
        for session in try world.sessions().reversed() where session.record.continues == nil {
            let name = session.record.name
            if ![.closed, .archived].contains(session.record.state) {
                Issue.record("\(what): \(name) is \(session.record.state)")
                return
            }
            var request = RestoreRequest(session: name)
            request.acceptsWrites = isUncertain
            _ = try world.service().restore(request)
            let now = try world.kernel.bytes(of: path)
            let isBetween = writes && session.record.kind == .offline
            guard states.contains(now) || isBetween else {
                Issue.record("\(what): restoring \(name) gives what never was")
                return
            }
            left.removeAll { $0 == now }
        }
        if !left.isEmpty { Issue.record("\(what): \(left.count) states can't be restored") }
    }
}

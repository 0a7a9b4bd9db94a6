import Block
import DeviceMapper
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Two devices that belong together, in a world of their own.
struct Pair {
    static let name = "pair"

    let world: World
    let paths: [FilePath]
    let group: GroupName

    init(seed: UInt64 = 1, size: Int = 24 << 10) throws {
        let world = try World(seed: seed)
        let paths = try [("sda", "serial:1"), ("sdb", "serial:2")].map {
            try world.disk($0.0, size: size, hardware: [$0.1])
        }
        for path in paths { try world.activate(path) }
        self.world = world
        self.paths = paths
        group = try #require(GroupName(Self.name))
        try world.service().setGroup(group, paths.map(\.string))
    }

    func origin(_ index: Int) throws -> String {
        try world.origin(#require(try world.service().find(paths[index].string)))
    }

    /// The rule's process opens the session.
    func mount(_ index: Int) throws {
        try world.kernel.mount(origin(index), at: "/mnt/\(index)")
        _ = try world.service().openSession(origin(index))
    }

    func write(_ index: Int) throws { try world.scribble(3, on: origin(index)) }

    /// The monitor exchanges the store.
    func unmount(_ index: Int) throws {
        try world.kernel.unmount(origin(index))
        _ = try world.service().rollOver(#require(try world.service().find(paths[index].string)).id)
    }

    /// Mounts both, and writes to both.
    func use() throws {
        for index in 0...1 {
            try mount(index)
            try write(index)
        }
    }

    /// Unmounts both.
    func leave() throws {
        for index in 0...1 { try unmount(index) }
    }

    func contents() throws -> [[UInt8]] { try paths.map { try world.kernel.bytes(of: $0) } }

    func restore(_ goal: GroupGoal? = nil) throws -> GroupOutcome {
        try world.service().restore(goal ?? .latest(group), RestoreRequest(session: ""))
    }

    func checkpoint(label: String? = nil) throws -> GroupCheckpoint {
        try world.service().checkpoint(group, label: label.flatMap { SessionLabel($0) })
    }

    /// What the monitor does when it starts.
    func monitor() throws { try world.monitor() }
}

/// Devices that belong together: an instant for all of them, and the way back to it.
@Suite struct GroupTests {
    @Test("Mounted one after the other and unmounted so, both go back to before the first mount")
    func both() throws {
        let pair = try Pair()
        let before = try pair.contents()
        try pair.use()
        try pair.leave()
        let instants = try pair.world.sessions().map(\.record.instant)
        #expect(instants.count == 2 && instants[0] != nil && instants[0] == instants[1])
        let outcome = try pair.restore()
        #expect(outcome.restored.count == 2 && outcome.restored.allSatisfy(\.isProven))
        #expect(outcome.untouched.isEmpty)
        #expect(try pair.contents() == before)
        try check(pair.world)
    }

    @Test("What undoes a restore of both is one instant, too")
    func undo() throws {
        let pair = try Pair()
        try pair.use()
        try pair.leave()
        let after = try pair.contents()
        for index in 0...1 {
            let outcome = try pair.restore()
            let undo = try #require(outcome.restored[index].undo)
            _ = try pair.restore(.session(undo.text))
            #expect(try pair.contents() == after)
        }
        try check(pair.world)
    }

    @Test("One that nobody has written to is left alone")
    func oneOnly() throws {
        let pair = try Pair()
        let before = try pair.contents()
        try pair.mount(0)
        try pair.write(0)
        try pair.unmount(0)
        let outcome = try pair.restore()
        #expect(outcome.restored.count == 1)
        let other = "/dev/mapper/" + (try pair.origin(1))
        #expect(outcome.untouched.map(\.device.text) == [other])
        #expect(outcome.untouched.map(\.isAsItWas) == [true])
        #expect(try pair.contents() == before)
        // Past everything, and before anybody has seen it.
        try TemporaryDirectory.patch(pair.paths[1], at: 0, [UInt8](repeating: 0xff, count: 512))
        let error = #expect(throws: SessionsError.self) { try pair.restore() }
        #expect(error?.exitStatus == .damaged)
        var request = RestoreRequest(session: "")
        request.acceptsWrites = true
        let forced = try pair.world.service().restore(.latest(pair.group), request)
        #expect(forced.untouched.map(\.isAsItWas) == [false])
    }

    @Test("Mounted again while the other goes on, it goes back to before both all the same")
    func overlapping() throws {
        let pair = try Pair()
        let before = try pair.contents()
        try pair.mount(0)
        try pair.write(0)
        try pair.mount(1)
        try pair.write(1)
        try pair.unmount(0)
        try pair.mount(0)
        try pair.write(0)
        try pair.unmount(1)
        try pair.unmount(0)
        let instants = try pair.world.sessions().map { ($0.record.name, $0.record.instant) }
        #expect(instants.count { $0.1 != nil } == 2)
        #expect(try pair.restore().restored.count == 2)
        #expect(try pair.contents() == before)
        let without = try #require(instants.first { $0.1 == nil }).0
        let error = #expect(throws: SessionsError.self) {
            try pair.restore(.session(without.text))
        }
        #expect(error?.exitStatus == .usage)
    }

    @Test("A session that begins while the other was written is at no instant of both")
    func written() throws {
        let pair = try Pair()
        try pair.write(1)
        try pair.mount(0)
        try pair.write(0)
        try pair.unmount(0)
        let instant = try #require(pair.world.sessions().first).record.instant
        // The write came after the instant that both had from the group's making on.
        #expect(instant?.places.map(\.chain.index) == [0, 0])
        try pair.mount(0)
        try pair.write(0)
        try pair.unmount(0)
        #expect(try #require(pair.world.sessions().last).record.instant == nil)
    }

    @Test("A checkpoint of both is one instant, by name and by label", arguments: [false, true])
    func checkpoint(oneIsIdle: Bool) throws {
        let pair = try Pair()
        for index in oneIsIdle ? 0...0 : 0...1 {
            try pair.mount(index)
            try pair.write(index)
        }
        let before = try pair.contents()
        let made = try pair.checkpoint(label: "before the upgrade")
        #expect(made.instant != nil)
        let names = made.outcomes.compactMap { outcome in
            if case .made(let name, let closed) = outcome, closed != nil { name } else { nil }
        }
        #expect(names.count == (oneIsIdle ? 1 : 2))
        if oneIsIdle { try pair.mount(1) }
        for index in 0...1 {
            try pair.write(index)
            try pair.unmount(index)
        }
        let records = try pair.world.sessions().map(\.record).filter { $0.instant == made.instant }
        #expect(records.count == 2)
        #expect(records.count { $0.label?.text == "before the upgrade" } == names.count)
        for goal in [names[0].text, "before the upgrade"] {
            _ = try pair.restore(.session(goal))
            #expect(try pair.contents() == before)
        }
        try check(pair.world)
    }

    @Test("A boot between them keeps what they have in common")
    func boot() throws {
        let pair = try Pair()
        let before = try pair.contents()
        try pair.use()
        pair.world.kernel.reboot()
        for (_, result) in try pair.world.service().assembleAll() { _ = try result.get() }
        #expect(try pair.world.service().report(on: pair.group).instant != nil)
        _ = try pair.restore()
        #expect(try pair.contents() == before)
    }

    @Test("Where one can't follow, none has a checkpoint, and everything is as it was")
    func failureOfAll() throws {
        let pair = try Pair()
        try pair.use()
        let before = pair.world.kernel.remains
        let store = try #require(try pair.world.service().find(pair.paths[1].string)).store.number
        pair.world.kernel.setPrograms(1, on: "dmsnapcow-sdb-\(store)")
        let error = #expect(throws: SessionsError.self) { try pair.checkpoint() }
        #expect(error?.exitStatus == .busy)
        pair.world.kernel.setPrograms(0, on: "dmsnapcow-sdb-\(store)")
        #expect(pair.world.kernel.remains == before)
        #expect(pair.world.kernel.suspended.isEmpty)
        #expect(try pair.world.sessions().map(\.record.state) == [.open, .open])
        #expect(try pair.checkpoint().instant != nil)
        try check(pair.world)
    }

    @Test("Damage in one session keeps every device from being written")
    func damage() throws {
        let pair = try Pair()
        try pair.use()
        try pair.leave()
        let after = try pair.contents()
        for session in try pair.world.sessions() {
            let store = Layout.store(in: session.directory)
            let kept = try Files.read(store)
            try Files.replace(store, with: [UInt8](repeating: 0xff, count: kept.count))
            let error = #expect(throws: SessionsError.self) { try pair.restore() }
            #expect(error?.exitStatus == .damaged)
            #expect(try pair.contents() == after)
            try Files.replace(store, with: kept)
        }
        #expect(try pair.restore().restored.count == 2)
    }

    @Test("Refused: what can't be in a group, and what a device of one can't be")
    func refused() throws {
        let pair = try Pair()
        let service = try pair.world.service()
        let other = try #require(GroupName("other"))
        func refusal(_ body: () throws -> Void) -> Sessions.ExitStatus? {
            do {
                try body()
                return nil
            } catch {
                return (error as? SessionsError)?.exitStatus
            }
        }
        let paths = pair.paths.map(\.string)
        #expect(refusal { try service.setGroup(other, [paths[0]]) } == .usage)
        #expect(refusal { try service.setGroup(other, []) } == .usage)
        #expect(refusal { try service.setGroup(pair.group, [paths[0], paths[0]]) } == .usage)
        #expect(refusal { try service.setGroup(other, ["/dev/none"]) } == .noInput)
        #expect(refusal { _ = try service.report(on: other) } == .noInput)
        #expect(refusal { try service.dissolve(other) } == .noInput)
        #expect(
            refusal { try service.set(paths[0], PolicyChange(restoreAt: .unmount)) } == .usage)
        let third = try pair.world.disk("sdc", hardware: ["serial:3"])
        try pair.world.activate(third)
        try service.set(third.string, PolicyChange(restoreAt: .unmount))
        #expect(refusal { try service.setGroup(other, [third.string]) } == .usage)
        let named = try #require(GroupName("sdc"))
        #expect(refusal { try service.setGroup(named, [paths[0]]) } == .usage)
        #expect(refusal { _ = try pair.restore() } == .usage)
        let origin = try #require(DeviceName(pair.origin(0)))
        let info = try pair.world.kernel.deviceMapper.info(origin)
        let number = try #require(info).number
        pair.world.kernel.foundations = [number]
        #expect(refusal { try service.setGroup(pair.group, paths) } == .usage)
        #expect(refusal { _ = try pair.checkpoint() } == .usage)
        pair.world.kernel.foundations = []
        try service.dissolve(pair.group)
        try service.set(paths[0], PolicyChange(restoreAt: .unmount))
    }

    @Test("What is deactivated leaves its group, which goes with the last")
    func leaving() throws {
        let pair = try Pair()
        let outcome = try pair.world.service().deactivate(pair.paths[0].string, waiting: false)
        guard case .deactivated(_, left: pair.group) = outcome else {
            throw Unexpected("\(outcome)")
        }
        #expect(try pair.world.service().report(on: pair.group).devices.count == 1)
        try pair.world.service().deactivate(pair.paths[1].string)
        #expect(throws: SessionsError.self) { try pair.world.service().report(on: pair.group) }
    }

    @Test(
        "A registry whose groups nobody made is refused",
        arguments: [
            ("\"pair\"", "\"../pair\""), ("\"members\" : [", "\"members\" : [ \"nobody\","),
            ("\"groups\" : [", "\"groups\" : [ { \"name\" : \"pair\", \"members\" : [] },"),
            ("\"groups\" : [", "\"groups\" : [ { \"name\" : \"other\", \"members\" : [] },"),
            ("\"index\" : 0", "\"index\" : -1"),
        ])
    func hostile(good: String, bad: String) throws {
        let pair = try Pair()
        let text = String(decoding: try Files.read(pair.world.layout.registry), as: UTF8.self)
        #expect(text.contains(good))
        try Files.replace(
            pair.world.layout.registry, with: Array(text.replacing(good, with: bad).utf8))
        let error = #expect(throws: SessionsError.self) { try pair.world.service().activations() }
        #expect(error?.exitStatus == .damaged)
    }

    @Test("Names that are one, and that aren't")
    func names() {
        for good in ["a", "A-b_c.9", String(repeating: "x", count: 64)] {
            #expect(GroupName(good)?.text == good)
        }
        for bad in ["", ".a", "-a", "a/b", "a b", "ä", String(repeating: "x", count: 65), "a\n"] {
            #expect(GroupName(bad) == nil)
        }
    }
}

/// A process that works on a group dies before each of its steps, or has one of them fail.
@Suite struct GroupCrashTests {
    /// A pair that was used, what it was before, and what it is after.
    private func used(
        _ seed: UInt64
    ) throws -> (pair: Pair, before: [[UInt8]], after: [[UInt8]]) {
        let pair = try Pair(seed: seed)
        let before = try pair.contents()
        try pair.use()
        try pair.leave()
        return (pair, before, try pair.contents())
    }

    @Test(
        "A checkpoint that dies is one of both, or of none, and nothing is lost")
    func checkpointDies() throws {
        let whole = try Pair()
        try whole.use()
        let steps = try Steps.counting { _ = try whole.checkpoint() }.changes
        for step in 1...steps {
            let boots = step.isMultiple(of: 2)
            let pair = try Pair(seed: UInt64(step))
            let before = try pair.contents()
            try pair.use()
            let middle = try pair.contents()
            let last = Steps.dying(before: step) { _ = try pair.checkpoint() }
            let what = "dead before step \(step), \(last)"
            do {
                if boots { pair.world.kernel.reboot() }
                try pair.monitor()
                try check(pair.world, what, afterDeath: true)
                if !boots {
                    for index in 0...1 {
                        try pair.write(index)
                        try pair.unmount(index)
                    }
                }
                let instants = Set(try pair.world.sessions().compactMap(\.record.instant))
                for instant in instants {
                    let session = try #require(
                        pair.world.sessions().last {
                            $0.record.instant == instant && $0.record.restoreOf == nil
                        })
                    _ = try pair.restore(.session(session.record.name.text))
                    let contents = try pair.contents()
                    let isKnown = contents == before || contents == middle
                    if !isKnown { Issue.record("\(what): \(instant) is of two instants") }
                }
                _ = try pair.world.service().restore(
                    RestoreRequest(session: try pair.world.sessions()[0].record.name.text))
            } catch {
                Issue.record("\(what): \(error)")
            }
        }
    }

    @Test("A checkpoint in which a step fails leaves nothing suspended, and nothing is lost")
    func checkpointFails() throws {
        let whole = try Pair()
        try whole.use()
        let steps = try Steps.counting { _ = try whole.checkpoint() }.all
        for step in 1...steps {
            let pair = try Pair(seed: UInt64(step))
            let before = try pair.contents()
            try pair.use()
            let result = Result { try Steps.failing(at: step) { _ = try pair.checkpoint() } }
            let what = "step \(step) failed, \(Steps.last): \(result)"
            if !pair.world.kernel.suspended.isEmpty { Issue.record("\(what): suspended") }
            do {
                try pair.monitor()
                try check(pair.world, what, afterDeath: true)
                let middle = try pair.contents()
                let session = try pair.checkpoint().outcomes.compactMap { outcome in
                    if case .made(let name, _) = outcome { name } else { nil }
                }.first
                for index in 0...1 { try pair.write(index) }
                try pair.leave()
                _ = try pair.restore(.session(#require(session).text))
                if try pair.contents() != middle { Issue.record("\(what): another instant") }
                let first = try #require(pair.world.sessions().first).record
                _ = try pair.restore(.session(first.name.text))
                if try pair.contents() != before { Issue.record("\(what): not back") }
                try check(pair.world, what, afterDeath: true)
            } catch {
                Issue.record("\(what): \(error)")
            }
        }
    }

    @Test("A restore that dies is gone on with by the same command")
    func restoreDies() throws {
        let whole = try used(1).pair
        let steps = try Steps.counting { _ = try whole.restore() }.changes
        for step in 1...steps {
            let (pair, before, _) = try used(UInt64(step))
            let last = Steps.dying(before: step) { _ = try pair.restore() }
            let what = "dead before step \(step), \(last)"
            do {
                if step.isMultiple(of: 2) { pair.world.kernel.reboot() }
                try pair.monitor()
                try check(pair.world, what, afterDeath: true)
                _ = try pair.restore()
                if try pair.contents() != before { Issue.record("\(what): not back") }
            } catch {
                Issue.record("\(what): \(error)")
            }
        }
    }

    @Test("A restore in which a step fails leaves both back, or both as they were")
    func restoreFails() throws {
        let whole = try used(1).pair
        let steps = try Steps.counting { _ = try whole.restore() }.all
        for step in 1...steps {
            let (pair, before, after) = try used(UInt64(step))
            let result = Result { try Steps.failing(at: step) { _ = try pair.restore() } }
            let what = "step \(step) failed, \(Steps.last): \(result)"
            let contents = try pair.contents()
            let isRight =
                switch result {
                case .success: contents == before
                case .failure: contents == after
                }
            if !isRight { Issue.record("\(what): between the two") }
            do {
                try pair.monitor()
                try check(pair.world, what, afterDeath: true)
                _ = try pair.restore()
                if try pair.contents() != before { Issue.record("\(what): not back") }
            } catch {
                Issue.record("\(what): \(error)")
            }
        }
    }
}

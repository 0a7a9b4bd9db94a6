import Block
import Glibc
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// A process that deletes, merges or prunes dies before each of its steps: at once and after whatever
/// comes next every session that is there restores to the exact bytes.
@Suite struct DeletionCrashTests {
    struct Scenario: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var archived = 4
        var rules = ""
        var pinned: [Int] = []
        /// Sessions that may go.
        let going: Set<Int>
        let act: @Sendable (Lives) throws -> Void
    }

    static let scenarios = [
        Scenario(testDescription: "deleting the oldest", going: [0], act: { try $0.delete(0) }),
        Scenario(
            testDescription: "deleting the oldest, with its store", archived: 0, going: [0],
            act: { try $0.delete(0) }),
        Scenario(
            testDescription: "deleting one in the middle", going: [2], act: { try $0.delete(2) }),
        Scenario(
            testDescription: "deleting one in the middle, of stores", archived: 0, going: [2],
            act: { try $0.delete(2) }),
        Scenario(
            testDescription: "deleting the last, into an archive", archived: 3, going: [3],
            act: { try $0.delete(3) }),
        Scenario(
            testDescription: "deleting two, the one merged and the other not", archived: 2,
            going: [0, 2], act: { try $0.delete(0, 2) }),
        Scenario(
            testDescription: "deleting two in a row", archived: 1, going: [1, 2],
            act: { try $0.delete(1, 2) }),
        Scenario(
            testDescription: "pruning by number, behind a pinned one",
            rules: "keep-last = 1", pinned: [0], going: [1, 2], act: { try $0.prune() }),
        Scenario(
            testDescription: "pruning by room", rules: "min-free = \"50G\"", going: [0, 1, 2, 3],
            act: {
                $0.world.kernel.free = ByteCount((50 << 30) - 20_000)
                try $0.prune()
            }),
        Scenario(
            testDescription: "labelling and pinning", going: [],
            act: {
                _ = try $0.world.service().keeper.label($0.names[1], "what matters")
                try $0.world.service().keeper.pin([$0.names[1]], true)
            }),
    ]

    enum Afterwards: String, CaseIterable {
        case nothing = "nothing"
        case recovering = "the monitor starts"
        case again = "the same command runs again"
        case reboot = "the machine boots again"
    }

    @Test(
        "Whenever its process dies, every session that is there goes back to where it began",
        arguments: scenarios)
    func dying(_ scenario: Scenario) throws {
        let whole = try Lives(scenario, seed: 1)
        let steps = try Steps.counting { try scenario.act(whole) }.changes
        try whole.recover()
        try whole.verify("uninterrupted", scenario, isWhole: true)
        #expect(steps > 1)
        var failures = 0
        for step in 1...steps {
            let lives = try Lives(scenario, seed: UInt64(step))
            let beginning = try lives.world.moment()
            for afterwards in Afterwards.allCases {
                try lives.world.goBack(to: beginning)
                let last = Steps.dying(before: step) { try scenario.act(lives) }
                let what = "dead before step \(step), \(last); then \(afterwards.rawValue)"
                do {
                    try lives.come(afterwards, scenario)
                    try check(lives.world, what, afterDeath: true)
                    try lives.verify(
                        what, scenario, isWhole: afterwards == .again,
                        isTidy: afterwards != .nothing)
                } catch {
                    Issue.record("\(what): \(error)")
                    failures += 1
                    if failures == 3 { return }
                }
            }
        }
    }

    /// Every one of them takes minutes.
    private static let share = unsafe getenv("DMSNAP_ALL_PAIRS") == nil ? 11 : 1

    @Test("Whichever step fails, nothing that stays is lost", arguments: scenarios)
    func failing(_ scenario: Scenario) throws {
        let whole = try Lives(scenario, seed: 1)
        let steps = try Steps.counting { try scenario.act(whole) }.all
        for step in stride(from: 1, through: steps, by: Self.share) {
            let lives = try Lives(scenario, seed: UInt64(step))
            try? Steps.failing(at: step) { try scenario.act(lives) }
            let what = "step \(step), \(Steps.last), failed"
            if step.isMultiple(of: 2) { try lives.recover() }
            try lives.verify(what, scenario, isWhole: false, isTidy: false)
        }
    }

    @Test(
        "Whoever puts things right may die at every step of that, too",
        arguments: scenarios.filter { $0.testDescription.contains("middle") || !$0.pinned.isEmpty })
    func dyingTwice(_ scenario: Scenario) throws {
        let whole = try Lives(scenario, seed: 1)
        let steps = try Steps.counting { try scenario.act(whole) }.changes
        for step in 1...steps {
            let lives = try Lives(scenario, seed: UInt64(step))
            let beginning = try lives.world.moment()
            Steps.dying(before: step) { try scenario.act(lives) }
            let more = try Steps.counting { try lives.recover() }.changes
            guard more > 0 else { continue }
            for second in stride(from: 1 + step % Self.share, through: more, by: Self.share) {
                try lives.world.goBack(to: beginning)
                Steps.dying(before: step) { try scenario.act(lives) }
                let last = Steps.dying(before: second) { try lives.recover() }
                let what = "dead before step \(step), and then before \(second), \(last)"
                try lives.recover()
                try check(lives.world, what, afterDeath: true)
                try lives.verify(what, scenario, isWhole: false)
            }
        }
    }
}

/// A disk with four sessions, and what it was before each.
final class Lives {
    let world: World
    let path: FilePath
    private(set) var names: [String] = []
    private var states: [String: [UInt8]] = [:]

    init(_ scenario: DeletionCrashTests.Scenario, seed: UInt64) throws {
        world = try World(seed: seed)
        path = try world.disk(size: 24 << 10)
        if !scenario.rules.isEmpty {
            try Files.makeDirectory(world.layout.configuration.removingLastComponent())
            try Files.replace(
                world.layout.configuration, with: Array("[retention]\n\(scenario.rules)\n".utf8))
        }
        try world.activate(path)
        for number in 0..<4 {
            let before = try world.kernel.bytes(of: path)
            let name = try world.session(writes: 3)
            names.append(name)
            states[name] = before
            guard number + 1 == scenario.archived else { continue }
            let service = try world.service()
            for session in try service.archiver.unarchived() {
                try service.archiver.archive(session)
            }
        }
        try world.service().keeper.pin(scenario.pinned.map { names[$0] }, true)
    }

    func delete(_ indices: Int...) throws {
        // What was deleted before a crash is there no more.
        let left = Set(try world.sessions().map(\.record.name.text))
        let wanted = indices.map { names[$0] }.filter { left.contains($0) }
        try world.service().keeper.delete(wanted)
    }

    func prune() throws {
        let outcome = try world.service().keeper.prune(.all)
        if let failure = outcome.failures.first { throw failure }
    }

    func recover() throws {
        if let failure = try world.service().keeper.recover().first { throw failure }
    }

    /// What comes after a death.
    func come(
        _ afterwards: DeletionCrashTests.Afterwards, _ scenario: DeletionCrashTests.Scenario
    ) throws {
        switch afterwards {
        case .nothing: break
        case .recovering: try recover()
        case .again: try scenario.act(self)
        case .reboot:
            world.kernel.reboot()
            try recover()
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        }
    }

    func verify(
        _ what: String, _ scenario: DeletionCrashTests.Scenario, isWhole: Bool, isTidy: Bool = true
    ) throws {
        world.kernel.free = ByteCount(90 << 30)
        let left = try world.sessions().map(\.record.name.text)
        for (index, name) in names.enumerated() where !left.contains(name) {
            if !scenario.going.contains(index) { Issue.record("\(what): \(name) is gone") }
        }
        if isWhole, scenario.rules.isEmpty, left.count != 4 - scenario.going.count {
            Issue.record("\(what): \(left) are left")
        }
        if isTidy {
            let rubbish = (try? Files.list(Layout.deleted(in: world.layout.defaultSessions))) ?? []
            if !rubbish.isEmpty { Issue.record("\(what): \(rubbish) are still there") }
            for name in left {
                let directory = world.layout.defaultSessions.appending(name)
                let files = try Files.list(directory)
                if files.contains("absorbing.json") || files.contains("chunks.dmsz.new") {
                    Issue.record("\(what): \(files) are in \(name)")
                }
            }
        }
        for activation in try world.service().activations() {
            _ = try world.service().deactivate(activation.path.text)
        }
        for name in left.reversed() {
            let outcome = try world.service().restore(RestoreRequest(session: name))
            if !outcome.isProven || !outcome.overridden.isEmpty {
                Issue.record("\(what): \(name) isn't proven")
            }
            if try world.kernel.bytes(of: path) != states[name] {
                Issue.record("\(what): restoring \(name) gives something else")
            }
        }
    }
}

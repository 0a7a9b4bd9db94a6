import Block
import FoundationEssentials
import Glibc
import KernelSimulation
import SystemPackage
import Testing

@testable import Sessions

/// A process dies, and then the one that puts things right dies, too.
@Suite struct DoubleDeathTests {
    enum Rescue: String, CaseIterable, Sendable {
        case monitor = "the monitor"
        case boot = "the next boot"
        case hidden = "a boot without the sessions' directory"
    }

    /// All pairs with DMSNAP_ALL_PAIRS in the environment, which takes long; else a share of them, the
    /// same each time and spread over both deaths.
    private static let stride = unsafe getenv("DMSNAP_ALL_PAIRS") == nil ? 41 : 1

    @Test(
        "Whenever both die, nothing stays suspended, orphaned or lost",
        arguments: CrashScenario.all, Rescue.allCases)
    func dying(_ scenario: CrashScenario, _ rescue: Rescue) throws {
        let whole = try Crashed(scenario, seed: 1)
        let steps = try Steps.counting { try scenario.act(whole) }.changes
        var pair = 0
        for first in 1...steps {
            var second = 0
            while true {
                second += 1
                pair += 1
                // How many steps the second one takes shows only when it is run.
                guard pair % Self.stride == 0 else {
                    if second > 60 { break }
                    continue
                }
                let crashed = try Crashed(scenario, seed: UInt64(first))
                let one = Steps.dying(before: first) { try scenario.act(crashed) }
                if rescue != .monitor { crashed.world.kernel.reboot() }
                let hiding =
                    rescue == .hidden ? try Hiding(crashed.world, as: .allCases[pair % 3]) : nil
                var isComplete = false
                let two = Steps.dying(before: second) {
                    do {
                        if rescue != .monitor { try crashed.assemble() }
                        if rescue != .boot { try crashed.monitor() }
                    } catch SessionsError.missingDirectory where rescue == .hidden {
                        // It is said, and nothing is done.
                    }
                    isComplete = true
                }
                let what = "dead before \(one), then \(rescue.rawValue) before \(two)"
                do {
                    try hiding?.end()
                    if rescue != .monitor { crashed.world.kernel.reboot(); try crashed.assemble() }
                    try crashed.monitor()
                    try check(crashed.world, what, afterDeath: true)
                    try crashed.verify(what)
                } catch {
                    Issue.record("\(what): \(error)")
                    return
                }
                if isComplete { break }
            }
        }
    }
}

/// The sessions' directory in a state that it can be in while its own file system isn't mounted.
private struct Hiding {
    enum Way: CaseIterable {
        case missing, empty, somebodyElses
    }

    private let world: World
    private let aside: FilePath
    private let usual: (FilePath) -> String?

    init?(_ world: World, as way: Way) throws {
        let base = world.layout.defaultSessions
        guard Files.exists(base) else { return nil }
        self.world = world
        aside = base.appendingSuffix(".aside")
        usual = world.kernel.fileSystemUUID
        try Files.rename(base, to: aside)
        if way == .missing { return }
        try Files.makeDirectory(base)
        if way == .somebodyElses { try Files.makeDirectory(base.appending(".armed")) }
        world.kernel.fileSystemUUID = { _ in "the root's" }
    }

    /// Nothing was put there meanwhile, or taken away.
    func end() throws {
        let base = world.layout.defaultSessions
        if Files.exists(base) {
            for name in try Files.list(base) {
                let entry = base.appending(name)
                #expect(name == ".armed")
                #expect(try Files.list(entry) == [])
                try Files.removeDirectory(entry)
            }
            try Files.removeDirectory(base)
        }
        try Files.rename(aside, to: base)
        world.kernel.fileSystemUUID = usual
    }
}

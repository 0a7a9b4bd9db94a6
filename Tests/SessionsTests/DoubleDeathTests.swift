import FoundationEssentials
import Glibc
import KernelSimulation
import Testing

@testable import Sessions

/// A process dies, and then the one that puts things right dies, too.
@Suite struct DoubleDeathTests {
    enum Rescue: String, CaseIterable, Sendable {
        case monitor = "the monitor"
        case boot = "the next boot"
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
                guard pair % Self.stride == 0 || second == 1 else {
                    if second > 60 { break }
                    continue
                }
                let crashed = try Crashed(scenario, seed: UInt64(first))
                let one = Steps.dying(before: first) { try scenario.act(crashed) }
                if rescue == .boot { crashed.world.kernel.reboot() }
                var isComplete = false
                let two = Steps.dying(before: second) {
                    switch rescue {
                    case .monitor: try crashed.monitor()
                    case .boot: try crashed.assemble()
                    }
                    isComplete = true
                }
                let what = "dead before \(one), then \(rescue.rawValue) before \(two)"
                do {
                    if rescue == .boot { crashed.world.kernel.reboot(); try crashed.assemble() }
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

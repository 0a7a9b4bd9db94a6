import KernelSimulation
import Testing

@testable import Sessions

/// A process dies before each of its steps, and what comes then puts everything right.
@Suite struct CrashTests {
    enum Afterwards: String, CaseIterable {
        case monitorStarts = "the monitor starts"
        case again = "the same command runs again"
        case reboot = "the machine boots again"
    }

    @Test(
        "Whenever its process dies, nothing stays suspended, orphaned or lost",
        arguments: CrashScenario.all)
    func dying(_ scenario: CrashScenario) throws {
        let whole = try Crashed(scenario, seed: 1)
        let steps = try Steps.counting { try scenario.act(whole) }.changes
        try whole.monitor()
        try check(whole.world, "uninterrupted")
        try whole.verify("uninterrupted")
        var failures = 0
        for step in 1...steps {
            let crashed = try Crashed(scenario, seed: UInt64(step))
            let beginning = try crashed.world.moment()
            for afterwards in Afterwards.allCases {
                try crashed.world.goBack(to: beginning)
                let last = Steps.dying(before: step) { try scenario.act(crashed) }
                let what = "dead before step \(step), \(last); then \(afterwards.rawValue)"
                do {
                    try come(afterwards, crashed, scenario)
                    try crashed.monitor()
                    try check(crashed.world, what, afterDeath: true)
                    try crashed.verify(what)
                } catch {
                    Issue.record("\(what): \(error)")
                    failures += 1
                    if failures == 3 { return }
                }
            }
        }
    }

    private func come(
        _ afterwards: Afterwards, _ crashed: Crashed, _ scenario: CrashScenario
    ) throws {
        switch afterwards {
        case .monitorStarts: break
        case .again:
            do {
                try scenario.act(crashed)
            } catch SessionsError.notActivated where scenario.ends {
                // It had been done.
            }
        case .reboot:
            crashed.world.kernel.reboot()
            try crashed.assemble()
        }
    }
}

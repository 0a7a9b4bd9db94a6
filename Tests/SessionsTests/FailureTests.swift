import KernelSimulation
import Testing

@testable import Sessions

/// One step fails, and the process goes on: it undoes what it has done, or leaves what can be gone
/// on with.
@Suite struct FailureTests {
    @Test(
        "Whatever step fails, nothing stays suspended, orphaned or lost",
        arguments: CrashScenario.all)
    func failing(_ scenario: CrashScenario) throws {
        let whole = try Crashed(scenario, seed: 1)
        let steps = try Steps.counting { try scenario.act(whole) }.all
        for step in 1...steps {
            let failed = try Crashed(scenario, seed: UInt64(step))
            let result = Result { try Steps.failing(at: step) { try scenario.act(failed) } }
            let what = "step \(step) failed, \(Steps.last): \(result)"
            do {
                if !failed.world.kernel.suspended.isEmpty { Issue.record("\(what): suspended") }
                try failed.monitor()
                try check(failed.world, what, afterDeath: true)
                try failed.verify(what)
            } catch {
                Issue.record("\(what): \(error)")
            }
        }
    }
}

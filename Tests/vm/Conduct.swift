import ArgumentParser
import Foundation
import VirtualMachine

/// Runs the machine, and ends this process as the machine ended.
func conduct(_ machine: Machine, _ command: Command, timing: Bool) async throws {
    let interruption = Interruption()
    let running: RunningMachine
    do {
        running = try machine.boot(command)
    } catch {
        report("\(error)")
        throw ExitCode(error.exitStatus)
    }
    interruption.kill(running)
    let outcome = await running.outcome()
    if let signal = interruption.signal { throw ExitCode(128 + signal) }
    if timing {
        let boot = outcome.bootTime.map { "\($0)" } ?? "never"
        report("the command started after \(boot), the machine ended after \(outcome.duration)")
    }
    switch outcome.end {
    case .exited, .signaled:
        if !outcome.findings.isEmpty { report(outcome.summary) }
    default:
        report(outcome.summary)
    }
    throw ExitCode(outcome.exitStatus)
}

private func report(_ text: String) {
    FileHandle.standardError.write(Data("vm: \(text)\n".utf8))
}

extension MachineError {
    /// From sysexits.h: what is missing is unavailable, what was asked for is a matter of usage.
    fileprivate var exitStatus: Int32 {
        switch self {
        case .notInstalled: EX_UNAVAILABLE
        case .invalid: EX_USAGE
        case .system, .endedBeforeSignal, .noSignal: EX_OSERR
        }
    }
}

import Dispatch
import Foundation
import Synchronization
import VirtualMachine

/// The signals that ask this process to end: the machine is killed first, and cleaned up after.
final class Interruption: Sendable {
    private struct State {
        var signal: Int32?
        var machine: RunningMachine?
    }

    private let state = Mutex(State())

    /// The signal that has come.
    var signal: Int32? { state.withLock { $0.signal } }

    init() {
        // A reader that has gone away must not take the machine's clean-up with it.
        Foundation.signal(SIGPIPE, SIG_IGN)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            Foundation.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                // Held by its own handler, the source lasts as long as the process.
                _ = source
                self.take(number)
            }
            source.activate()
        }
    }

    /// Names the machine; a signal that has come already ends it at once.
    func kill(_ machine: RunningMachine) {
        let late = state.withLock { state in
            state.machine = machine
            return state.signal != nil
        }
        if late { machine.kill() }
    }

    private func take(_ number: Int32) {
        let machine = state.withLock { state in
            state.signal = state.signal ?? number
            return state.machine
        }
        machine?.kill()
    }
}

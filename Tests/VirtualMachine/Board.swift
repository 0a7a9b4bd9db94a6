import Synchronization

/// Where the machine's threads put up what has happened, and tasks wait for it.
final class Board: Sendable {
    private struct State {
        var signals: Set<String> = []
        var outcome: Outcome?
        var waiting: [Int: Waiting] = [:]
        var next = 0
    }

    /// A task that waits for a signal, or, without one, for the end.
    private struct Waiting {
        var signal: String?
        var continuation: CheckedContinuation<Void, Never>
    }

    private let state = Mutex(State())

    /// The outcome, once there is one.
    var outcome: Outcome? { state.withLock { $0.outcome } }

    /// Whether the signal has come.
    func has(_ signal: String) -> Bool { state.withLock { $0.signals.contains(signal) } }

    /// Puts up a signal.
    func post(signal: String) {
        wake { state in
            state.signals.insert(signal)
            return state.waiting.filter { $0.value.signal == signal }.map(\.key)
        }
    }

    /// Puts up the end, which is what everybody waits for.
    func post(_ outcome: Outcome) {
        wake { state in
            state.outcome = outcome
            return Array(state.waiting.keys)
        }
    }

    /// Returns when the signal has come, the machine has ended, or the task is cancelled.
    func wait(for signal: String?) async {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let settled = state.withLock { state in
                    let come = signal.map { state.signals.contains($0) } ?? false
                    if come || state.outcome != nil || Task.isCancelled { return true }
                    state.waiting[number] = Waiting(signal: signal, continuation: continuation)
                    return false
                }
                if settled { continuation.resume() }
            }
        } onCancel: {
            wake { _ in [number] }
        }
    }

    /// Continues the waiting tasks that `change` names, outside the lock.
    private func wake(_ change: (inout State) -> [Int]) {
        let woken = state.withLock { state in
            change(&state).compactMap { state.waiting.removeValue(forKey: $0) }
        }
        for waiting in woken { waiting.continuation.resume() }
    }
}

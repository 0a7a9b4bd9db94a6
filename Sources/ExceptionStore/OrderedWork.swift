internal import Block

/// Numbered jobs done by several threads, their results taken in order by the caller's.
///
/// Every job has a workspace of its own until the caller gives that back, so there are never more
/// jobs between their start and that than there are workspaces.
package struct OrderedWork<Workspace: Sendable, Output: Sendable>: Sendable {
    /// What there is to take.
    package enum Next {
        case ready(UInt64, Workspace, Output)
        /// A thread is at it, or every workspace is in use.
        case notYet
        case end
    }

    private struct State {
        var started: UInt64 = 0
        var taken: UInt64 = 0
        var isStopped = false
        var free: [Workspace]
        var finished: [UInt64: (Workspace, Output)] = [:]
    }

    private let count: UInt64
    private let gate: Gate<State>
    private let workers: [WorkerThread]
    private let prepare: @Sendable (UInt64, Workspace) -> Void
    private let job: @Sendable (UInt64, Workspace) -> Output

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - count: How many jobs there are, numbered from 0.
    ///   - threads: As many as the system gives; the caller's own does the work where that is none.
    ///   - niceness: What is added to their nice value.
    ///   - workspaces: At least one.
    ///   - prepare: Called before each job, for one after another in order.
    ///   - job: Does one job; called by several threads at a time.
    package init(
        count: UInt64, threads: Int, niceness: Int = 0, workspaces: [Workspace],
        prepare: @escaping @Sendable (UInt64, Workspace) -> Void = { _, _ in },
        job: @escaping @Sendable (UInt64, Workspace) -> Output
    ) {
        let gate = Gate(State(free: workspaces))
        self.count = count
        self.gate = gate
        self.prepare = prepare
        self.job = job
        workers = (0..<min(UInt64(threads), count)).compactMap { _ in
            WorkerThread.start(niceness: niceness) {
                while let (number, workspace) = Self.claim(gate, count, prepare) {
                    let output = job(number, workspace)
                    gate.change { $0.finished[number] = (workspace, output) }
                }
            }
        }
    }

    /// Waits for the next job and a workspace for it; nil where there is nothing more to do.
    ///
    /// Jobs start in order, so the one that is waited for always has a workspace.
    private static func claim(
        _ gate: Gate<State>, _ count: UInt64, _ prepare: (UInt64, Workspace) -> Void
    ) -> (UInt64, Workspace)? {
        gate.wait { state -> (UInt64, Workspace)?? in
            if state.isStopped || state.started == count { return .some(nil) }
            guard let workspace = state.free.popLast() else { return nil }
            prepare(state.started, workspace)
            defer { state.started += 1 }
            return (state.started, workspace)
        }
    }

    /// The next result in order.
    ///
    /// - Parameter waits: Whether to wait for it. The caller has to have released enough.
    package func next(waits: Bool) -> Next {
        if workers.isEmpty { return doNext() }
        return gate.wait { state in
            if state.taken == count { return .end }
            guard let (workspace, output) = state.finished.removeValue(forKey: state.taken) else {
                return waits ? nil : .notYet
            }
            defer { state.taken += 1 }
            return .ready(state.taken, workspace, output)
        }
    }

    /// Where the system gives no thread at all, the caller's own does the work.
    private func doNext() -> Next {
        let isFree = gate.wait { state -> Bool? in
            state.started == count || !state.free.isEmpty
        }
        guard isFree else { return .notYet }
        guard let (number, workspace) = Self.claim(gate, count, prepare) else { return .end }
        return .ready(number, workspace, job(number, workspace))
    }

    /// Gives a job's workspace back.
    package func release(_ workspace: Workspace) {
        gate.change { $0.free.append(workspace) }
    }

    /// Ends the threads; nobody does anything after it.
    package func stop() {
        gate.change { $0.isStopped = true }
        for worker in workers { worker.join() }
    }

    /// Gives all results to `take` in order, and ends the threads; stops when that throws.
    package func run<Failure: Error>(
        take: (UInt64, Workspace, Output) throws(Failure) -> Void
    ) throws(Failure) {
        defer { stop() }
        while case .ready(let number, let workspace, let output) = next(waits: true) {
            try take(number, workspace, output)
            release(workspace)
        }
    }
}

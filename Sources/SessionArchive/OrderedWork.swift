internal import Block

/// Numbered jobs done by several threads, their results taken in order by the caller's.
///
/// Every job has a workspace of its own until its result was taken, so there are never more jobs
/// between their start and that than there are workspaces.
struct OrderedWork<Workspace: Sendable, Output: Sendable> {
    private struct State {
        var next: UInt64 = 0
        var isStopped = false
        var free: [Workspace]
        var finished: [UInt64: (Workspace, Output)] = [:]
    }

    private let count: UInt64
    private let threads: Int
    private let niceness: Int
    private let gate: Gate<State>
    private let job: @Sendable (UInt64, Workspace) -> Output

    /// - Parameters:
    ///   - count: How many jobs there are, numbered from 0.
    ///   - workspaces: At least one.
    ///   - job: Does one job.
    init(
        count: UInt64, threads: Int, niceness: Int, workspaces: [Workspace],
        job: @escaping @Sendable (UInt64, Workspace) -> Output
    ) {
        self.count = count
        self.threads = threads
        self.niceness = niceness
        self.gate = Gate(State(free: workspaces))
        self.job = job
    }

    /// Does all jobs, and gives their results to `take` in order; stops when that throws.
    func run<Failure: Error>(
        take: (UInt64, Workspace, Output) throws(Failure) -> Void
    ) throws(Failure) {
        let workers = start()
        defer {
            gate.change { $0.isStopped = true }
            for worker in workers { worker.join() }
        }
        for number in 0..<count {
            let (workspace, output) = workers.isEmpty ? doNext() : wait(for: number)
            try take(number, workspace, output)
            gate.change { $0.free.append(workspace) }
        }
    }

    private func start() -> [WorkerThread] {
        (0..<min(UInt64(threads), count)).compactMap { _ in
            WorkerThread.start(niceness: niceness) { [gate, count, job] in
                while let (number, workspace) = Self.claim(gate, count) {
                    let output = job(number, workspace)
                    gate.change { $0.finished[number] = (workspace, output) }
                }
            }
        }
    }

    /// Waits for the next job and a workspace for it; nil where there is nothing more to do.
    ///
    /// Jobs start in order, so the one that is waited for always has a workspace.
    private static func claim(_ gate: Gate<State>, _ count: UInt64) -> (UInt64, Workspace)? {
        gate.wait { state -> (UInt64, Workspace)?? in
            if state.isStopped || state.next == count { return .some(nil) }
            guard let workspace = state.free.popLast() else { return nil }
            defer { state.next += 1 }
            return (state.next, workspace)
        }
    }

    private func wait(for number: UInt64) -> (Workspace, Output) {
        gate.wait { $0.finished.removeValue(forKey: number) }
    }

    /// Where the system gives no thread at all, the caller's own does the work.
    private func doNext() -> (Workspace, Output) {
        let (number, workspace) = gate.wait { state -> (UInt64, Workspace)? in
            guard let workspace = state.free.popLast() else { return nil }
            defer { state.next += 1 }
            return (state.next, workspace)
        }
        return (workspace, job(number, workspace))
    }
}

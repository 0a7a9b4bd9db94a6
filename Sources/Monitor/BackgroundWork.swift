import Block
import CLinux
import Glibc
import Synchronization
import SystemPackage

/// One thing at a time on a thread beside the monitor's own, which is woken at its end.
final class BackgroundWork<Outcome: Sendable> {
    /// What the thread and the monitor share.
    private final class Shared: Sendable {
        let isStopped = Atomic<Bool>(false)
        let outcome = Mutex<Outcome?>(nil)
    }

    /// Ready when something has ended.
    let source: EventSource

    private let finished: CInt
    private var running: (shared: Shared, thread: WorkerThread)?

    /// - Parameter name: of the event, for messages.
    init(_ name: String) throws(SystemError) {
        let descriptor = eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else {
            throw SystemError(operation: "eventfd", path: name, errno: Errno(rawValue: errno))
        }
        finished = descriptor
        source = EventSource(name: name, descriptor: descriptor) {
            var count: eventfd_t = 0
            return unsafe eventfd_read(descriptor, &count) == 0
        }
    }

    deinit {
        close(finished)
    }

    /// Whether nothing is being done, and nothing that was done waits to be taken.
    var isIdle: Bool { running == nil }

    /// Begins, if nothing is being done.
    ///
    /// - Parameter body: gets a question whether it is to stop.
    /// - Returns: false if there is no thread for it.
    func start(
        niceness: Int, _ body: @escaping @Sendable (@escaping @Sendable () -> Bool) -> Outcome
    ) -> Bool {
        let shared = Shared()
        let thread = WorkerThread.start(niceness: niceness) { [finished] in
            let outcome = body { shared.isStopped.load(ordering: .relaxed) }
            shared.outcome.withLock { $0 = outcome }
            _ = eventfd_write(finished, 1)
        }
        guard let thread else { return false }
        running = (shared, thread)
        return true
    }

    /// What has ended; nil if nothing has.
    func takeFinished() -> Outcome? {
        guard let (shared, thread) = running, let outcome = shared.outcome.withLock({ $0 }) else {
            return nil
        }
        thread.join()
        running = nil
        return outcome
    }

    /// Asks what is being done to stop, and waits for that.
    func stop() {
        running?.shared.isStopped.store(true, ordering: .relaxed)
        running?.thread.join()
        running = nil
    }
}

import Block
import CLinux
import Glibc
import Logging
import SessionArchive
import Sessions
import Synchronization
import SystemPackage

/// Makes archives of closed sessions, one after another, on a thread of its own.
///
/// It keeps nothing that a new one could not find out again: a session that was closed and has no
/// archive is due.
final class Archivist {
    /// How long to leave a session alone whose archive could not be made.
    private static let patience: Duration = .seconds(600)

    /// What the thread and the monitor share.
    private final class Work: Sendable {
        let isStopped = Atomic<Bool>(false)
        let result = Mutex<Result<Void, SessionsError>?>(nil)
    }

    /// Ready when an archive has ended.
    let source: EventSource

    private let service: SnapshotService
    private let log: Logger
    private let finished: CInt
    private var running: (name: String, work: Work, thread: WorkerThread)?
    private var failed: [String: ContinuousClock.Instant] = [:]

    init(service: SnapshotService, log: Logger) throws(SystemError) {
        self.service = service
        self.log = log
        let descriptor = eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "eventfd", path: "archives", errno: Errno(rawValue: errno))
        }
        finished = descriptor
        source = EventSource(name: "archives", descriptor: descriptor) {
            var count: eventfd_t = 0
            return unsafe eventfd_read(descriptor, &count) == 0
        }
    }

    deinit {
        close(finished)
    }

    /// Whether no archive is being made.
    var isIdle: Bool { running == nil }

    /// Takes what has ended, and begins with what is due.
    func attend() {
        takeFinished()
        guard isIdle, service.configuration.archivesSessions, let session = due() else { return }
        let work = Work()
        let name = session.record.name.text
        let thread = WorkerThread.start(niceness: service.configuration.archiveNiceness) {
            [service, finished] in
            let result = Result { () throws(SessionsError) in
                try service.archiver.archive(
                    session,
                    control: ArchiveControl(
                        isCancelled: { work.isStopped.load(ordering: .relaxed) }))
            }
            work.result.withLock { $0 = result }
            _ = eventfd_write(finished, 1)
        }
        guard let thread else {
            failed[name] = .now
            log.error("session \(name): no thread for making its archive; it is tried again later")
            return
        }
        running = (name, work, thread)
    }

    /// Stops what is being made, and waits for that; its store is as it was.
    func stop() {
        running?.work.isStopped.store(true, ordering: .relaxed)
        running?.thread.join()
        running = nil
    }

    private func takeFinished() {
        guard let (name, work, thread) = running, let result = work.result.withLock({ $0 }) else {
            return
        }
        thread.join()
        running = nil
        switch result {
        case .success:
            log.info("\(name): archived")
            failed[name] = nil
        case .failure(let error):
            log.error("\(error); it is tried again later")
            failed[name] = .now
        }
    }

    private func due() -> Session? {
        let now = ContinuousClock.now
        let waiting = (try? service.archiver.unarchived()) ?? []
        return waiting.first { session in
            failed[session.record.name.text].map { now - $0 >= Self.patience } ?? true
        }
    }
}

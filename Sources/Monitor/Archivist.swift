import Block
import Logging
import SessionArchive
import Sessions

/// Makes archives of closed sessions, one after another, on a thread of its own.
///
/// It keeps nothing that a new one could not find out again: a session that was closed and has no
/// archive is due.
final class Archivist {
    /// How long to leave a session alone whose archive could not be made.
    private static let patience: Duration = .seconds(600)

    private typealias Outcome = (name: String, result: Result<Void, SessionsError>)

    private let service: SnapshotService
    private let log: Logger
    private let work: BackgroundWork<Outcome>
    private var failed: [String: ContinuousClock.Instant] = [:]

    init(service: SnapshotService, log: Logger) throws(SystemError) {
        self.service = service
        self.log = log
        work = try BackgroundWork("archives")
    }

    /// Ready when an archive has ended.
    var source: EventSource { work.source }

    /// Whether no archive is being made.
    var isIdle: Bool { work.isIdle }

    /// Takes what has ended, and begins with what is due.
    ///
    /// - Returns: whether an archive was made since this was last asked.
    func attend() -> Bool {
        let hasMade = takeFinished()
        guard isIdle, service.configuration.archivesSessions, let session = due() else {
            return hasMade
        }
        let name = session.record.name.text
        let isBegun = work.start(niceness: service.configuration.archiveNiceness) {
            [service] isStopped in
            let result = Result { () throws(SessionsError) in
                try service.archiver.archive(
                    session, control: ArchiveControl(isCancelled: isStopped))
            }
            return (name, result)
        }
        if !isBegun {
            failed[name] = .now
            log.error("session \(name): no thread for making its archive; it is tried again later")
        }
        return hasMade
    }

    /// Stops what is being made, and waits for that; its store is as it was.
    func stop() { work.stop() }

    private func takeFinished() -> Bool {
        guard let (name, result) = work.takeFinished() else { return false }
        switch result {
        case .success:
            log.info("\(name): archived")
            failed[name] = nil
            return true
        case .failure(let error):
            // Who merges or deletes it has it for a moment: nothing has failed.
            let isBusy = if case .busy = error { true } else { false }
            log.log(level: isBusy ? .info : .error, "\(error); it is tried again later")
            failed[name] = .now
            return false
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

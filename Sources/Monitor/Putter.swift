import Block
import Logging
import Restore
import Sessions

/// Puts devices back to their bases, one after another, on a thread of its own: what was written to them may take
/// long to read.
///
/// It keeps nothing that a new one could not find out again: what is due is in the registry.
final class Putter {
    /// How long to leave a device alone that could not be put back, if it isn't used meanwhile.
    private static let patience: Duration = .seconds(600)

    private typealias Outcome = (one: Activation, result: Result<Deed, SessionsError>)

    private enum Deed {
        case putBack(PutBackOutcome)
        case dropped
    }

    private let service: SnapshotService
    private let log: Logger
    private let work: BackgroundWork<Outcome>
    private var said: Set<String> = []
    /// By activation: which store it had then, and when.
    private var failed: [String: (store: Int, at: ContinuousClock.Instant)] = [:]

    init(service: SnapshotService, log: Logger) throws(SystemError) {
        self.service = service
        self.log = log
        work = try BackgroundWork("putting back")
    }

    /// Ready when something has ended.
    var source: EventSource { work.source }

    /// Whether nothing is being done.
    var isIdle: Bool { work.isIdle }

    /// Takes what has ended, and begins with what is due.
    ///
    /// - Parameter idle: the activations that nobody uses.
    func attend(idle: [Activation]) {
        takeFinished()
        let due = idle.filter { !isToRest($0) }
        guard isIdle,
            let one = due.first(where: \.isToBePutBack) ?? due.first(where: \.hasSpareRoundTrips)
        else { return }
        // Somebody may wait for it.
        let isBegun = work.start(niceness: 0) { [service] isStopped in
            let result = Result { () throws(SessionsError) in
                if one.isToBePutBack {
                    return Deed.putBack(
                        try service.putBack(one.id, control: RestoreControl(isCancelled: isStopped))
                    )
                }
                try service.dropRoundTrips(one.id)
                return .dropped
            }
            return (one, result)
        }
        if !isBegun { say("no thread for putting \(one.path) back; it is tried again later") }
    }

    /// Stops what is being done, and waits for that; the device is as it was left.
    func stop() { work.stop() }

    private func takeFinished() {
        guard let (one, result) = work.takeFinished() else { return }
        let path = service.path(of: one)
        failed[one.id] = nil
        switch result {
        case .success(.putBack(.notNow)), .success(.dropped): break
        case .success(.putBack(.begun(let session))):
            log.info("\(path): is being put back to what it was before session \(session)")
        case .success(.putBack(.isBack(let session))):
            log.info("\(path): is what it was before session \(session)")
        case .failure(.busy): break
        case .failure(let error):
            failed[one.id] = (one.store.number, .now)
            say("\(path): not put back: \(error)")
        }
    }

    private func isToRest(_ one: Activation) -> Bool {
        guard let last = failed[one.id], last.store == one.store.number else { return false }
        return .now - last.at < Self.patience
    }

    /// Once: it is tried again and again.
    private func say(_ complaint: String) {
        guard said.insert(complaint).inserted else { return }
        log.error("\(complaint)")
    }
}

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
    /// The same where somebody was at it.
    private static let pause: Duration = .seconds(2)

    private typealias Outcome = (one: Activation, result: Result<Deed, SessionsError>)

    private enum Deed {
        case putBack(PutBackOutcome)
        case dropped
    }

    private let service: SnapshotService
    private let log: Logger
    private let work: BackgroundWork<Outcome>
    private var said: Set<String> = []
    /// By activation: until when it is left alone, as long as it has this store.
    private var resting: [String: (store: Int, until: ContinuousClock.Instant)] = [:]

    init(service: SnapshotService, log: Logger) throws(SystemError) {
        self.service = service
        self.log = log
        work = try BackgroundWork("putting back")
    }

    /// Ready when something has ended.
    var source: EventSource { work.source }

    /// Whether nothing is being done.
    var isIdle: Bool { work.isIdle }

    /// Begins with what is due.
    ///
    /// - Parameter idle: the activations that nobody uses.
    func attend(idle: [Activation]) {
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

    /// Takes what has ended, and says what came of it.
    func takeFinished() {
        guard let (one, result) = work.takeFinished() else { return }
        let path = service.path(of: one)
        resting[one.id] = nil
        switch result {
        case .success(.dropped): break
        case .success(.putBack(.notNow)), .failure(.busy):
            resting[one.id] = (one.store.number, .now + Self.pause)
        case .success(.putBack(.begun(let session))):
            log.info("\(path): is being put back to what it was before session \(session)")
        case .success(.putBack(.isBack(let session))):
            log.info("\(path): is what it was before session \(session)")
        case .failure(let error):
            resting[one.id] = (one.store.number, .now + Self.patience)
            say("\(path): not put back: \(error)")
        }
    }

    private func isToRest(_ one: Activation) -> Bool {
        guard let rest = resting[one.id], rest.store == one.store.number else { return false }
        return .now < rest.until
    }

    /// Once: it is tried again and again.
    private func say(_ complaint: String) {
        guard said.insert(complaint).inserted else { return }
        log.error("\(complaint)")
    }
}

import Block
import Logging
import SessionArchive
import Sessions

/// Lets sessions of activated devices go by the rules of `[retention]`, on a thread of its own.
///
/// After each session that closed and each archive that was made, when less than `min-free` is free, and
/// every few minutes. It keeps nothing that a new one could not find out again, but when it last did and
/// said a thing.
final class Pruner {
    /// How often to look without a reason, and for what a killed command has left.
    private static let interval: Duration = .seconds(600)
    /// How often at most: every look reads the records of all sessions.
    private static let pace: Duration = .seconds(5)
    /// How long to wait after sessions went for room: some file systems free it later.
    private static let settling: Duration = .seconds(60)

    private let service: SnapshotService
    private let log: Logger
    private let work: BackgroundWork<Result<PruneOutcome, SessionsError>>
    private var isWanted = true
    private var last: ContinuousClock.Instant?
    private var lastRemoval: ContinuousClock.Instant?
    private var said: Set<String> = []

    init(service: SnapshotService, log: Logger) throws(SystemError) {
        self.service = service
        self.log = log
        work = try BackgroundWork("pruning")
    }

    /// Ready when sessions have gone, or none had to.
    var source: EventSource { work.source }

    /// Whether nothing is being done.
    var isIdle: Bool { work.isIdle }

    /// A session was closed, or an archive made.
    func request() { isWanted = true }

    /// Takes what has ended, and begins where that is due.
    func attend() {
        takeFinished()
        guard isIdle, isDue(at: .now) else { return }
        isWanted = false
        last = .now
        let isBegun = work.start(niceness: service.configuration.archiveNiceness) {
            [service] isStopped in
            Result { () throws(SessionsError) in
                do {
                    return try service.keeper.prune(
                        .activated, control: ArchiveControl(isCancelled: isStopped))
                } catch let error as SessionsError {
                    throw error
                } catch {
                    throw .internalFault("\(error)")
                }
            }
        }
        if !isBegun { say("no thread for pruning sessions; it is tried again later") }
    }

    private func isDue(at now: ContinuousClock.Instant) -> Bool {
        if let lastRemoval, now - lastRemoval < Self.settling { return false }
        guard let last, now - last < Self.interval else { return true }
        guard now - last >= (isWanted ? Self.pace : Self.settling) else { return false }
        if isWanted, service.keeper.hasRules { return true }
        isWanted = false
        return service.keeper.isShortOfSpace()
    }

    /// Stops a merge, and waits for that; both sessions are as they were.
    func stop() { work.stop() }

    private func takeFinished() {
        guard let result = work.takeFinished() else { return }
        switch result {
        case .success(let outcome):
            if outcome.removals.contains(where: { $0.rule == .space }) { lastRemoval = .now }
            for removal in outcome.removals {
                let line = "\(removal.session): \(removal.description(isDone: true))"
                // Who wants it kept has to make room.
                if removal.rule == .space { log.warning("\(line)") } else { log.info("\(line)") }
            }
            let complaints =
                outcome.shortfalls.map(\.place.text) + outcome.failures.map(\.description)
            said.formIntersection(complaints)
            for shortfall in outcome.shortfalls
            where said.insert(shortfall.place.text).inserted {
                log.warning("\(shortfall)")
            }
            for failure in outcome.failures { say(failure.description) }
        case .failure(let error): say(error.description)
        }
    }

    /// Once: it is tried again and again.
    private func say(_ complaint: String) {
        guard said.insert(complaint).inserted else { return }
        log.error("\(complaint)")
    }
}

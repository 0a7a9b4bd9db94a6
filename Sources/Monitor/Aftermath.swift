import Block
import FoundationEssentials
import Logging
import Sessions

/// Has the command for archives (`[archive] after`) run where it is due, in a process of its own.
///
/// It keeps nothing that a new one could not find out again.
final class Aftermath {
    /// How long to leave it alone once it was begun: it goes on by itself, and what became of it is known
    /// then.
    private static let patience: Duration = .seconds(10)
    /// How often to look without a reason.
    private static let interval: Duration = .seconds(600)

    private let service: SnapshotService
    private let log: Logger
    private var next: ContinuousClock.Instant
    private var isSaid = false

    init(service: SnapshotService, log: Logger) {
        self.service = service
        self.log = log
        next = .now
    }

    /// An archive was made.
    func request() { next = min(next, .now) }

    /// Begins where something is due.
    func attend() {
        guard !service.configuration.afterArchive.isEmpty, ContinuousClock.now >= next else {
            return
        }
        guard let due = service.aftercare.nextDue() else {
            next = .now + Self.interval
            return
        }
        let left = due.timeIntervalSince(Date())
        guard left <= 0 else {
            next = .now + min(.seconds(left), Self.interval)
            return
        }
        next = .now + Self.patience
        guard !service.aftercare.isRunning() else { return }
        do {
            try MonitorLauncher.beginAftercare(service.layout)
            isSaid = false
        } catch {
            if !isSaid { log.error("\(error)") }
            isSaid = true
        }
    }
}

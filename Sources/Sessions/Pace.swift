import Synchronization

/// Says no more often than once an interval that it is time.
final class Pace: Sendable {
    private let interval: Duration
    private let last: Mutex<ContinuousClock.Instant>

    init(interval: Duration, from start: ContinuousClock.Instant) {
        self.interval = interval
        last = Mutex(start)
    }

    func isDue(at now: ContinuousClock.Instant) -> Bool {
        last.withLock { last in
            guard now - last >= interval else { return false }
            last = now
            return true
        }
    }
}

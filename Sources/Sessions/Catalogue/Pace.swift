import Synchronization

/// Says that it is time: at first, and then no more often than once an interval.
final class Pace: Sendable {
    private let interval: Duration
    private let last = Mutex<ContinuousClock.Instant?>(nil)

    init(interval: Duration) {
        self.interval = interval
    }

    func isDue(at now: ContinuousClock.Instant) -> Bool {
        last.withLock { last in
            if let before = last, now - before < interval { return false }
            last = now
            return true
        }
    }
}

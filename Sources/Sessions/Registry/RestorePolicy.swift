/// When a device that captures is put back by itself, and to what.
public struct RestorePolicy: Hashable, Sendable, Codable {
    /// When; not `never`.
    public internal(set) var at: RestoreAt
    /// What it is put back to: what it was before the session that has this place, or will have it.
    var base: ChainPlace
    /// The session that began there, where one was named; nil where the base is whatever the device is
    /// before a mount.
    public internal(set) var session: SessionName?
    /// How many of the times that it was put back can be undone.
    public internal(set) var keep = 0
    /// It was mounted since: it is to be put back.
    var isDue = false
    /// The kernel puts it back, or has: nobody has compared it yet.
    var isBegun = false
    /// The sessions from a base to the same base again, by their places in its chain, the oldest first: of the
    /// times that can be undone.
    var roundTrips: [ClosedRange<Int>] = []
    /// Why it was not put back the last time; nil where it was.
    public internal(set) var failure: String?

    init(at: RestoreAt, base: ChainPlace) {
        self.at = at
        self.base = base
    }

    /// Whether it is to be put back as soon as nobody uses it.
    var isDueAtUnmount: Bool { isDue && at == .unmount }

    /// Whether there are sessions for which nobody asked.
    var hasSpareRoundTrips: Bool { roundTrips.count > keep }

    /// A session has ended.
    mutating func note(_ ended: SessionRecord) {
        guard ended.isOfMount else { return }
        isDue = true
        failure = nil
    }

    /// The device's next session is this one in its chain. What was written outside a mount stays, as what
    /// the next mount begins with.
    mutating func follow(_ place: ChainPlace) {
        if session == nil, !isDue { base = place }
    }

    /// The device is its base again, where this place begins.
    mutating func settle(at place: ChainPlace) {
        if base.id == place.id, base.index < place.index {
            roundTrips.append(base.index...(place.index - 1))
        }
        isDue = false
        isBegun = false
        failure = nil
        base = place
    }

    /// What the device is where this place begins is its base from now on.
    mutating func rebase(on place: ChainPlace, _ session: SessionName? = nil) {
        if base.id != place.id { roundTrips = [] }
        base = place
        self.session = session
        isDue = false
        isBegun = false
        failure = nil
    }
}

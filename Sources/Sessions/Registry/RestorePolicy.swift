/// When a device that captures is put back by itself, and to what.
public struct RestorePolicy: Hashable, Sendable, Codable {
    /// How many times may be kept.
    static let keeps = 0...1_000_000

    /// When; not `never`.
    public internal(set) var at: RestoreAt
    /// What it is put back to: what it was before the session that has this place, or will have it.
    var base: ChainPlace
    /// The session that began there, where one was named; nil where a restore by hand moves the base.
    public internal(set) var session: SessionName?
    /// How many of the times that it was put back can be undone.
    public internal(set) var keep = 0
    /// It was written since: it is to be put back.
    var isDue = false
    /// The kernel puts it back, or has, and nobody has written to it since: it is to be compared.
    var isBegun = false
    /// How often it was found to be something else when the kernel had put it back: a mount that is over before
    /// anybody has seen it can come in the middle.
    var differences = 0
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

    /// Whether a session is about to go, as part of a round trip that nobody is to undo, or to be part of one.
    func isPassing(_ record: SessionRecord) -> Bool {
        guard record.chain == base.id else { return false }
        if roundTrips.dropLast(keep).contains(where: { $0.contains(record.index) }) { return true }
        return isDueAtUnmount && failure == nil && record.index >= base.index
    }

    /// A session has ended. Nobody can tell what was written outside a mount from a mount that was over before
    /// anybody had seen it.
    mutating func note(_ ended: SessionRecord) {
        guard !ended.isOfRestore else { return }
        restart(isDue: true)
    }

    /// The device's next session is this one in its chain.
    mutating func follow(_ place: ChainPlace) {
        if session == nil, !isDue { base = place }
    }

    /// The device is its base again, where this place begins.
    mutating func settle(at place: ChainPlace) {
        if base.id == place.id, base.index < place.index {
            roundTrips.append(base.index...(place.index - 1))
        }
        restart(isDue: false)
        base = place
    }

    /// What the device is where this place begins is its base from now on.
    mutating func rebase(on place: ChainPlace, _ session: SessionName? = nil) {
        if base.id != place.id { roundTrips = [] }
        base = place
        self.session = session
        restart(isDue: false)
    }

    /// It was not put back, and is to be still.
    mutating func fail(_ reason: SessionsError) {
        restart(isDue: isDue)
        failure = "\(reason)"
    }

    private mutating func restart(isDue: Bool) {
        self.isDue = isDue
        isBegun = false
        differences = 0
        failure = nil
    }
}

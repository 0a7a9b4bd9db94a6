/// Which sessions go by a rule, as a value: whether a plan is one that the rule makes.
///
/// Several sessions may be opened in one second, and of those any may be the oldest: so a plan is looked at,
/// and none is made to compare it with.
struct Pruning {
    private struct Entry {
        var listed: ListedSession
        let bytes: UInt64
        /// It may go, if the rule says so.
        let isFree: Bool
    }

    private let rule: PruneRule
    /// By device, and of each its chains, in their order.
    private var devices: [[[Entry]]]
    /// Bytes that have gone.
    private var taken: UInt64 = 0
    /// What has gone, by device.
    private var takenOf: [Int: [ListedSession]] = [:]

    /// - Parameters:
    ///   - listed: all sessions that the rule is for.
    ///   - bytes: what each takes on disk.
    init(_ rule: PruneRule, _ listed: [ListedSession], bytes: [UInt64]) {
        self.rule = rule
        let entries = zip(listed, bytes).map { session, bytes in
            Entry(
                listed: session, bytes: bytes,
                isFree: !session.isCurrent && !session.isPinned && !session.isHalfway)
        }
        let chains = Dictionary(grouping: entries, by: \.listed.position.chain).values.map {
            $0.sorted { $0.listed.position.index < $1.listed.position.index }
        }
        devices = Array(Dictionary(grouping: chains) { $0.last?.listed.device ?? "" }.values)
    }

    /// - Returns: what is wrong with a plan.
    func problems(with plan: [Departure]) -> [String] {
        var left = self
        for departure in plan {
            if let problem = left.take(departure) {
                return ["session \(departure.name) is to go by \(rule), and \(problem)"]
            }
        }
        return left.remaining()
    }

    private mutating func take(_ departure: Departure) -> String? {
        for device in devices.indices {
            for chain in devices[device].indices {
                let place = devices[device][chain].firstIndex {
                    $0.listed.name == departure.name
                }
                guard let place else { continue }
                let entry = devices[device][chain][place]
                let older = place > 0 ? devices[device][chain][place - 1] : nil
                if !entry.isFree { return "has to stay" }
                if departure.into != older?.listed.name {
                    return "not into \(departure.into ?? "none")"
                }
                if let reason = objection(to: entry, older, device) { return reason }
                taken += entry.bytes
                takenOf[device, default: []].append(entry.listed)
                if older != nil {
                    devices[device][chain][place - 1].listed.lastIndex = entry.listed.lastIndex
                }
                devices[device][chain].remove(at: place)
                return nil
            }
        }
        return "isn't there"
    }

    private func objection(to entry: Entry, _ older: Entry?, _ device: Int) -> String? {
        switch rule {
        case .keepLast(let count):
            if later(than: entry, device, orTied: true) < count { return "is among the last" }
            if let older, isSeparate(entry, older) { return "can't be merged" }
        case .maxSize, .minFree:
            if older != nil { return "is not the oldest of its chain" }
            if !isShort(device) { return "there is room enough" }
            if heads(device).contains(where: { $0.listed.openedAt < entry.listed.openedAt }) {
                return "there is an older one"
            }
        }
        return nil
    }

    /// What had to go besides.
    private func remaining() -> [String] {
        switch rule {
        case .keepLast(let count):
            return devices.indices.flatMap { device in
                devices[device].flatMap { chain in
                    chain.indices.compactMap { place in
                        let entry = chain[place]
                        guard entry.isFree, later(than: entry, device, orTied: false) >= count,
                            place == 0 || !isSeparate(entry, chain[place - 1])
                        else { return nil }
                        return "session \(entry.listed.name) has to go by \(rule)"
                    }
                }
            }
        case .maxSize, .minFree:
            return devices.indices.compactMap { device in
                guard isShort(device), let first = heads(device).first else { return nil }
                return "session \(first.listed.name) has to go by \(rule), or another one"
            }
        }
    }

    private func isSeparate(_ entry: Entry, _ older: Entry) -> Bool {
        [entry, older].contains {
            $0.listed.isInvalid || $0.listed.isBroken || $0.listed.isCurrent
        } || entry.listed.position.index != older.listed.lastIndex + 1
    }

    /// How many of the device's are later, those that have gone included.
    private func later(than entry: Entry, _ device: Int, orTied: Bool) -> Int {
        let all = devices[device].joined().map(\.listed) + takenOf[device, default: []]
        func key(_ one: ListedSession) -> (String, Int) { (one.openedAt, one.position.index) }
        return all.count {
            $0.name != entry.listed.name
                && (orTied ? key($0) >= key(entry.listed) : key($0) > key(entry.listed))
        }
    }

    /// The oldest of each chain, if it may go: of the device, or of all where room is everybody's.
    private func heads(_ device: Int) -> [Entry] {
        let those: [[[Entry]]] = if case .minFree = rule { devices } else { [devices[device]] }
        return those.joined().compactMap(\.first).filter(\.isFree)
    }

    private func isShort(_ device: Int) -> Bool {
        switch rule {
        case .keepLast: false
        case .maxSize(let most):
            devices[device].joined().reduce(0) { $0 + $1.bytes } > most << 10
        case .minFree(let missing): taken < missing << 10
        }
    }
}

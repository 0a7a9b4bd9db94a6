import Block
import FoundationEssentials

extension Retention {
    /// A device's chains as they would be after what is planned so far.
    struct Device {
        let path: ByteText
        let rules: RetentionRules
        /// Each in its order; what goes is no longer in them.
        var chains: [[Candidate]]

        /// All that are left, the latest last.
        var all: [Candidate] { Chain.inOrder(chains.flatMap { $0 }, \.record) }

        var bases: [ByteText] { chains.flatMap { $0.map(\.base) } }

        /// The oldest of those with which a chain begins and that may go.
        func oldest(in base: ByteText? = nil) -> Int? {
            chains.indices.filter { index in
                guard let first = chains[index].first else { return false }
                return first.isFree && (base == nil || first.base == base)
            }.min { chains[$0][0].record.openedAt < chains[$1][0].record.openedAt }
        }
    }

    /// What sessions are of.
    private struct Source: Hashable, Comparable {
        let path: ByteText
        let isReceived: Bool

        static func < (one: Source, other: Source) -> Bool {
            one.path == other.path ? !one.isReceived && other.isReceived : one.path < other.path
        }
    }

    /// A plan in the making.
    struct Work {
        private let retention: Retention
        private(set) var devices: [Device]
        private(set) var plan = Plan()
        /// What deleting frees, by sessions' directory.
        private var freed: [ByteText: UInt64] = [:]

        init(_ retention: Retention) {
            self.retention = retention
            devices = Self.devices(retention)
        }

        /// Chains are one device's whose latest sessions have the same path; those of another machine's
        /// device are not.
        private static func devices(_ retention: Retention) -> [Device] {
            let chains = Dictionary(grouping: retention.candidates, by: \.record.chain).values
                .map { members in
                    let order = Chain(members.map(\.record)).members.map(\.name)
                    return order.compactMap { name in members.first { $0.record.name == name } }
                }.filter { !$0.isEmpty }
            let bySource = Dictionary(grouping: chains) { chain in
                let record = chain[chain.count - 1].record
                return Source(path: record.device, isReceived: record.isReceived)
            }
            return bySource.sorted { $0.key < $1.key }.map { source, chains in
                let path = source.path
                let chains = chains.sorted {
                    let (one, other) = ($0[0].record, $1[0].record)
                    // In one order, also where they began in the same second.
                    return (one.openedAt, one.chain) < (other.openedAt, other.chain)
                }
                let name = chains[chains.count - 1][0].record.deviceName
                return Device(
                    path: path, rules: retention.settings.rules(path: path, name: name),
                    chains: chains)
            }
        }

        /// By number and age.
        mutating func applyAge(_ index: Int) {
            let rules = devices[index].rules
            guard rules.keepLast != nil || rules.keepWithin != nil else { return }
            let last = Set(
                devices[index].all.suffix(rules.keepLast ?? 0).map(\.record.name))
            // The latest by its place, whatever a clock that was wrong for a time has said of others.
            let latest = devices[index].chains.last?.last?.end
            let since = rules.keepWithin.flatMap { latest?.addingTimeInterval(-Double($0)) }
            for chain in devices[index].chains.indices {
                var left: [Candidate] = []
                for one in devices[index].chains[chain] {
                    let stays =
                        !one.isFree || last.contains(one.record.name)
                        || since.map { one.end >= $0 } ?? false
                    if stays {
                        left.append(one)
                    } else if let older = left.last {
                        guard Chain.obstacle(toMerging: one.record, into: older.record) == nil
                        else {
                            left.append(one)
                            continue
                        }
                        note(one, .merged(into: older.record.name), .age)
                        left[left.count - 1] = older.covering(one)
                    } else {
                        note(one, .deleted, .age)
                    }
                }
                devices[index].chains[chain] = left
            }
        }

        /// By what a device's sessions take.
        mutating func applySize(_ index: Int) {
            guard let share = devices[index].rules.maxSize,
                let base = devices[index].all.last?.base, let space = retention.spaces[base]
            else { return }
            let most = share.of(space.size).bytes
            func taken() -> UInt64 { devices[index].chains.joined().reduce(0) { $0 &+ $1.bytes } }
            while taken() > most {
                guard let chain = devices[index].oldest() else {
                    plan.shortfalls.append(
                        Shortfall(
                            rule: .size, place: devices[index].path, bytes: taken() - most))
                    return
                }
                remove(index, chain, .size)
            }
        }

        /// By what is free, of whatever device.
        mutating func applySpace(_ base: ByteText) {
            guard let space = retention.spaces[base] else { return }
            while true {
                let (free, overflow) = space.free.bytes.addingReportingOverflow(
                    freed[base, default: 0])
                if overflow || free >= space.minFree.bytes { return }
                let oldest = devices.indices.compactMap { index in
                    devices[index].oldest(in: base).map { (index, $0) }
                }.min {
                    devices[$0.0].chains[$0.1][0].record.openedAt
                        < devices[$1.0].chains[$1.1][0].record.openedAt
                }
                guard let (index, chain) = oldest else {
                    plan.shortfalls.append(
                        Shortfall(rule: .space, place: base, bytes: space.minFree.bytes - free))
                    return
                }
                remove(index, chain, .space)
            }
        }

        private mutating func remove(_ index: Int, _ chain: Int, _ rule: Removal.Rule) {
            note(devices[index].chains[chain].removeFirst(), .deleted, rule)
        }

        private mutating func note(_ one: Candidate, _ way: Removal.Way, _ rule: Removal.Rule) {
            plan.removals.append(
                Removal(
                    session: one.record.name, device: one.record.device, way: way, rule: rule,
                    bytes: one.bytes))
            if way == .deleted { freed[one.base, default: 0] &+= one.bytes }
        }
    }
}

extension Retention.Candidate {
    /// When it was closed, or opened if it is open.
    fileprivate var end: Date { record.closedAt ?? record.openedAt }

    /// Whether it may go.
    fileprivate var isFree: Bool {
        obstacle == nil && !record.isPinned && record.state != .open
    }

    /// The same with a later one merged into it.
    fileprivate func covering(_ later: Self) -> Self {
        var wide = record
        wide.lastIndex = later.record.places.upperBound
        return Self(record: wide, bytes: bytes, base: base, obstacle: obstacle)
    }
}

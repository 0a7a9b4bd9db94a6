/// A state that a device can be in after a power cut.
public struct PowerCut: Hashable, Sendable, CustomStringConvertible {
    /// What became of the writes that no flush had made durable.
    public enum InFlight: Hashable, Sendable {
        /// None of them is there.
        case lost
        /// Each of them is there, or not, or some of its sectors are.
        case scattered
        /// The entry itself, a FUA write, was under way: some of its sectors are there.
        case torn
    }

    /// The index of a flush or FUA write in the log.
    public let point: Int
    /// What became of the rest.
    public let inFlight: InFlight

    /// A cut, from its parts.
    public init(point: Int, inFlight: InFlight) {
        self.point = point
        self.inFlight = inFlight
    }

    /// `at 512`, `at 512, scattered`, `in 512`.
    public var description: String {
        switch inFlight {
        case .lost: "at \(point)"
        case .scattered: "at \(point), scattered"
        case .torn: "in \(point)"
        }
    }
}

extension WriteLog {
    /// Every entry whose end makes something durable.
    public var points: [Int] {
        entries.indices.filter { entries[$0].isDurable }
    }

    /// Every power cut that leaves something else than the one before it, in the log's order: for a
    /// flush that nothing was written before, there is none.
    public var cuts: [PowerCut] {
        var cuts: [PowerCut] = []
        var isNew = true
        for (index, entry) in entries.enumerated() {
            if !entry.target.isEmpty { isNew = true }
            guard entry.isDurable else { continue }
            if entry.flags.contains(.fua), !entry.target.isEmpty {
                cuts.append(PowerCut(point: index, inFlight: .torn))
            }
            if isNew { cuts.append(PowerCut(point: index, inFlight: .lost)) }
            if entry.flags.contains(.flush), !inFlight(after: index).isEmpty {
                cuts.append(PowerCut(point: index, inFlight: .scattered))
            }
            isNew = false
        }
        return cuts
    }

    /// The writes that may have been under way after a flush or FUA write had ended, and before the
    /// next flush did.
    private func inFlight(after point: Int) -> [Entry] {
        entries[(point + 1)...].prefix { !$0.flags.contains(.flush) }.filter { !$0.target.isEmpty }
    }

    /// The index behind the last entry that is wholly there.
    func durableEnd(of cut: PowerCut) -> Int {
        cut.inFlight == .torn ? cut.point : cut.point + 1
    }

    /// What of the entries from `durableEnd` on is there besides: ranges of the device, and where in
    /// the log their bytes are.
    ///
    /// Between two flushes nothing tells which plain write was issued after which FUA write had ended.
    /// So all FUA writes are taken as durable: then any set of the plain ones can be there.
    func leftovers(
        of cut: PowerCut, _ random: inout some RandomNumberGenerator
    ) -> [(target: Range<UInt64>, data: UInt64)] {
        switch cut.inFlight {
        case .lost: return []
        case .torn: return torn(entries[cut.point], &random)
        case .scattered:
            return inFlight(after: cut.point).flatMap { entry in
                if entry.flags.contains(.fua) { return [(entry.target, entry.data)] }
                switch Int.random(in: 0..<3, using: &random) {
                case 0: return []
                case 1: return [(entry.target, entry.data)]
                default: return torn(entry, &random)
                }
            }
        }
    }

    /// The first sectors of a write, or any of them.
    private func torn(
        _ entry: Entry, _ random: inout some RandomNumberGenerator
    ) -> [(target: Range<UInt64>, data: UInt64)] {
        let sectors = Array(
            stride(from: UInt64(0), to: UInt64(entry.target.count), by: Int(sectorSize)))
        let there =
            Bool.random(using: &random)
            ? Array(sectors.prefix(Int.random(in: 0..<sectors.count, using: &random)))
            : sectors.filter { _ in Bool.random(using: &random) }
        return there.map { offset in
            let start = entry.target.lowerBound + offset
            return (start..<start + sectorSize, entry.data + offset)
        }
    }
}

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
    /// Each part of the device counts as a disk with a cache of its own: a flush of one makes nothing
    /// of another durable.
    public let hasSeparateCaches: Bool

    /// A cut, from its parts.
    public init(point: Int, inFlight: InFlight, hasSeparateCaches: Bool = false) {
        self.point = point
        self.inFlight = inFlight
        self.hasSeparateCaches = hasSeparateCaches
    }

    /// `at 512`, `at 512, scattered`, `in 512`, `at 512, separate`, `at 512, separate, scattered`.
    public var description: String {
        (inFlight == .torn ? "in \(point)" : "at \(point)")
            + (hasSeparateCaches ? ", separate" : "")
            + (inFlight == .scattered ? ", scattered" : "")
    }
}

extension WriteLog {
    /// Every entry whose end makes something durable.
    public var points: [Int] {
        entries.indices.filter { entries[$0].isDurable }
    }

    /// Every power cut that leaves something else than the one before it, in the log's order: for a
    /// flush that nothing was written before, there is none.
    ///
    /// - Parameter parts: of the device, each a disk with a cache of its own; where the log doesn't tell
    ///   which part was flushed, as with kernels that don't map a flush's sector, there are no cuts with
    ///   separate caches.
    public func cuts(parts: [Range<UInt64>]) -> [PowerCut] {
        let isTold = parts.allSatisfy { part in
            entries.contains {
                $0.flags.contains(.flush) && part.contains($0.target.lowerBound)
            }
        }
        var cuts: [PowerCut] = []
        var isNew = true
        var cache = WriteCache(parts: parts)
        for (index, entry) in entries.enumerated() {
            if !entry.target.isEmpty { isNew = true }
            _ = cache.add(entry)
            guard entry.isDurable else { continue }
            if entry.flags.contains(.fua), !entry.target.isEmpty {
                cuts.append(PowerCut(point: index, inFlight: .torn))
            }
            if isNew { cuts.append(PowerCut(point: index, inFlight: .lost)) }
            let isAnythingUnderWay =
                entry.flags.contains(.flush) && !underWay(after: index).isEmpty
            if isAnythingUnderWay { cuts.append(PowerCut(point: index, inFlight: .scattered)) }
            if isTold, !cache.writes.isEmpty {
                for inFlight in [PowerCut.InFlight.lost, .scattered] {
                    cuts.append(
                        PowerCut(point: index, inFlight: inFlight, hasSeparateCaches: true))
                }
            }
            isNew = false
        }
        return cuts
    }

    /// How many writes to a part of the device nothing had made durable when this entry was logged, each
    /// part being a disk with a cache of its own.
    public func unflushed(at entry: Int, in part: Range<UInt64>, of parts: [Range<UInt64>]) -> Int {
        var cache = WriteCache(parts: parts)
        for entry in entries[...entry] { _ = cache.add(entry) }
        return cache.writes.count { part.contains($0.target.lowerBound) }
    }

    /// The writes that may have been under way after a flush or FUA write had ended, and before the
    /// next flush did.
    func underWay(after point: Int) -> [Entry] {
        entries[(point + 1)...].prefix { !$0.flags.contains(.flush) }.filter { !$0.target.isEmpty }
    }
}

/// What has been written and is not durable, in the log's order.
struct WriteCache {
    let parts: [Range<UInt64>]
    private(set) var writes: [WriteLog.Entry] = []

    /// Takes the next entry of the log.
    ///
    /// - Returns: what is durable now and wasn't, in the order in which it was written.
    mutating func add(_ entry: WriteLog.Entry) -> [WriteLog.Entry] {
        var durable: [WriteLog.Entry] = []
        if entry.flags.contains(.flush) {
            let part = parts.first { $0.contains(entry.target.lowerBound) }
            durable += take { part?.contains($0.target.lowerBound) ?? true }
        }
        if entry.target.isEmpty { return durable }
        guard entry.isDurable else {
            writes.append(entry)
            return durable
        }
        // Older contents of the same place must not come after it.
        durable += take { $0.target.overlaps(entry.target) }
        return durable + [entry]
    }

    private mutating func take(_ isTaken: (WriteLog.Entry) -> Bool) -> [WriteLog.Entry] {
        let taken = writes.filter(isTaken)
        writes.removeAll(where: isTaken)
        return taken
    }
}

import Block
import SystemPackage

/// Sessions from a base to the same base again, taken away: what the device was before the first of them it is
/// after the last, so those before them lead to where they led.
///
/// 1. The one before them covers their places. From then on they are none of the chain.
/// 2. They go, the oldest first.
///
/// With none before them there is no first step. Each step can be done again.
extension Deletion {
    /// A pinned one keeps all of them, as does one that was merged into another round trip's: they are kept from
    /// then on like any session.
    ///
    /// - Throws: `busy`, and what stands against deleting one of them.
    func remove(roundTrip places: ClosedRange<Int>, of chain: String) throws {
        try holding {
            // Also those that are covered already.
            let all = try catalogue.everySession(of: chain)
            let going = all.filter {
                $0.record.index >= places.lowerBound && $0.record.index <= places.upperBound
            }
            let older = all.last { $0.record.index < places.lowerBound }
            guard let last = going.last, isWhole(going.map(\.record), places, after: older?.record),
                !going.contains(where: \.record.isPinned)
            else { return }
            for session in going { try refuse(session, isBase: true) }
            if let older, older.record.places.upperBound < places.upperBound {
                try refuseHalfway(older)
                try catalogue.changeRecord(in: older.directory) { record in
                    record = record.covering(last.record)
                }
            }
            for session in going { try remove(session) }
        }
    }

    /// Whether sessions are what is there of a round trip, and nothing else: from the one before them on without a
    /// gap, or what is left where that one covers them already, or where there is none, up to its end.
    private func isWhole(
        _ going: [SessionRecord], _ places: ClosedRange<Int>, after older: SessionRecord?
    ) -> Bool {
        guard let first = going.first, let last = going.last,
            last.places.upperBound == places.upperBound
        else { return false }
        if let older, older.places.upperBound > places.upperBound { return false }
        if older?.places.upperBound == places.upperBound { return true }
        let isContinuous = zip(going, going.dropFirst()).allSatisfy {
            $0.places.upperBound + 1 == $1.index
        }
        return isContinuous && older.map { $0.places.upperBound + 1 == first.index } ?? true
    }
}

extension Registry.Document {
    /// The device that is to be put back through a session; nil if none is.
    func putBack(through record: SessionRecord) -> Activation? {
        activations.first { activation in
            guard let policy = activation.restorePolicy, policy.base.id == record.chain else {
                return false
            }
            return record.places.upperBound >= policy.base.index
        }
    }
}

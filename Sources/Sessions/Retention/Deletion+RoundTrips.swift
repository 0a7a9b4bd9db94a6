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
    /// - Throws: `busy`, and what stands against deleting one of them; a pinned one keeps all of them, and is
    ///   kept from then on like any session.
    func remove(roundTrip places: ClosedRange<Int>, of chain: String) throws {
        try holding {
            // Also those that are covered already.
            let all = try everySession(of: chain)
            let going = all.filter {
                places.contains($0.record.index) && places.contains($0.record.places.upperBound)
            }
            guard let last = going.last, !going.contains(where: \.record.isPinned) else { return }
            for session in going { try refuse(session, isBase: true) }
            if let older = all.last(where: { $0.record.index < places.lowerBound }),
                places.lowerBound - 1..<places.upperBound ~= older.record.places.upperBound
            {
                try refuseHalfway(older)
                try catalogue.changeRecord(in: older.directory) { record in
                    record = record.covering(last.record)
                }
            }
            for session in going { try remove(session) }
        }
    }

    private func everySession(of chain: String) throws -> [Session] {
        try catalogue.baseDirectories().flatMap { base in
            try Files.list(base).filter { SessionName($0) != nil }.compactMap { name in
                try? catalogue.session(at: base.appending(name))
            }
        }
        .filter { $0.record.chain == chain }
        .sorted { $0.record.index < $1.record.index }
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

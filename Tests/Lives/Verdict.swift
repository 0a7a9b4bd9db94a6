/// What restoring a session must come to.
package struct Verdict: Sendable {
    /// These exit statuses are right, and then nothing is written. Empty: it has to succeed.
    var refusals: Set<Int> = []
    /// Something wrote past a session and left no trace that had to be found: the device may turn out to
    /// be something else, which is said.
    var isDoubtful = false
    /// It may also succeed; the device is then exactly what it was.
    var mayGoOn = false
    /// Something was lifted by an option, so that the device may be something else; then it is said.
    var isLifted = false
}

extension Model {
    /// What restoring a session must come to.
    ///
    /// - Parameters:
    ///   - target: what the device holds, where it isn't the activated one: nothing captures there.
    ///   - comparesAll: whether what the target holds is seen in every byte.
    ///   - excluding: a session that the restore itself has made.
    func verdict(
        _ session: Known, target: [UInt8]?, accepting: Bool, comparesAll: Bool,
        excluding: String? = nil
    ) -> Verdict {
        var verdict = Verdict()
        let place = session.listed.position
        let members = sessions.filter {
            $0.listed.position.chain == place.chain && $0.listed.position.index >= place.index
                && $0.listed.name != excluding
                && ($0.listed.position.index > place.index
                    || $0.listed.name == session.listed.name)
        }.sorted { $0.listed.position.index < $1.listed.position.index }
        if members.contains(where: \.listed.isInvalid) { verdict.refusals.insert(65) }
        if members.contains(where: \.isDamaged) {
            // What is damaged may be in what another session has older contents of.
            verdict.refusals.insert(65)
            verdict.mayGoOn = members.allSatisfy { !$0.listed.isInvalid }
        }
        if target != nil, store?.isOpen == true, position?.chain == place.chain {
            verdict.refusals.insert(75)
            if store?.isLost == true { verdict.refusals.insert(65) }
        }
        if members.contains(where: \.isDoubtful) {
            verdict.isDoubtful = true
            verdict.mayGoOn = verdict.refusals.isEmpty || verdict.mayGoOn
            verdict.refusals.insert(65)
        }
        if target != nil, members.last?.isEndUncertain == true, verdict.refusals.isEmpty {
            // It may have ended in this, or not.
            verdict.refusals.insert(65)
            verdict.mayGoOn = true
            verdict.isLifted = accepting
        }
        if let target, members.last?.isEndUncertain != true, members.last?.end != target {
            // It is found, but where samples may miss it.
            if comparesAll { return obstructed(verdict, accepting) }
            verdict.isDoubtful = true
            verdict.isLifted = accepting
            verdict.mayGoOn = verdict.refusals.isEmpty || verdict.mayGoOn
            verdict.refusals.insert(65)
        }
        guard isObstructed(session, members, target: target, excluding: excluding) else {
            return verdict
        }
        return obstructed(verdict, accepting)
    }

    private func obstructed(_ verdict: Verdict, _ accepting: Bool) -> Verdict {
        var verdict = verdict
        if accepting {
            verdict.isLifted = true
        } else {
            verdict.refusals.insert(65)
            verdict.mayGoOn = false
        }
        return verdict
    }

    /// Whether something stands against it that an option lifts.
    private func isObstructed(
        _ session: Known, _ members: [Known], target: [UInt8]?, excluding: String?
    ) -> Bool {
        if members.contains(where: \.listed.isBroken) { return true }
        if session.listed.isUndone || session.listed.isMidway { return true }
        let places = members.map { $0.listed.position.index...$0.listed.lastIndex }
        if zip(places, places.dropFirst()).contains(where: {
            $1.lowerBound != $0.upperBound + 1
        }) {
            return true
        }
        guard target == nil else { return false }
        guard let position, position.chain == session.listed.position.chain else { return true }
        let own = sessions.contains { $0.listed.name == excluding } ? 1 : 0
        return (places.last?.upperBound ?? 0) + 1 != position.index - own
    }
}

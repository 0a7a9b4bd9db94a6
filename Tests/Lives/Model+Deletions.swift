/// Sessions that go: which may, how, and what is left.
extension Model {
    /// The last session of a chain was taken away by hand: once the device is not activated any more, only samples tell
    /// whether it is what the one before ended in, or what it was restored to since.
    mutating func forgetEnd(before session: ListedSession) {
        let place = session.position
        let left = sessions.indices.filter { sessions[$0].listed.position.chain == place.chain }
        guard
            let last = left.max(by: {
                sessions[$0].listed.position.index < sessions[$1].listed.position.index
            }), sessions[last].listed.position.index < place.index
        else { return }
        sessions[last].isEndUncertain = true
    }

    /// What deleting a session must come to.
    struct Departing {
        /// The older one that it has to be merged into; nil where none needs it.
        var into: String?
        /// These exit statuses are right, and then all stays as it is. Empty: it has to succeed.
        var refusals: Set<Int> = []
        /// It may also succeed: what is damaged may be what nothing has to read.
        var mayGoOn = false
    }

    /// The one before it in what is there of its chain.
    func older(than session: Known) -> Known? {
        sessions.filter {
            $0.listed.position.chain == session.listed.position.chain
                && $0.listed.position.index < session.listed.position.index
        }.max { $0.listed.position.index < $1.listed.position.index }
    }

    /// What stands against one being merged into the one before it, so that no option helps.
    func isSeparate(_ session: Known, _ older: Known) -> Bool {
        [session, older].contains { $0.listed.isInvalid || $0.listed.isBroken }
            || session.listed.position.index != older.listed.lastIndex + 1
    }

    /// What deleting a session must come to.
    func departing(_ session: Known) -> Departing {
        let older = older(than: session)
        var departing = Departing(into: older?.listed.name)
        if session.listed.isPinned {
            departing.refusals = [64]
        } else if session.listed.isHalfway {
            departing.refusals = [75]
        } else if let older {
            if isSeparate(session, older) {
                departing.refusals = [65]
            } else if older.listed.isHalfway {
                departing.refusals = [75]
            } else if session.isDamaged || older.isDamaged {
                departing.refusals = [65]
                departing.mayGoOn = true
            }
        }
        return departing
    }

    /// It is gone, and what older ones need of it is in the one before it, which then ends where it ended.
    mutating func remove(_ session: Known) {
        if let name = older(than: session)?.listed.name,
            let index = sessions.firstIndex(where: { $0.listed.name == name })
        {
            sessions[index].listed.lastIndex = session.listed.lastIndex
            sessions[index].listed.hasEnd = session.listed.hasEnd
            sessions[index].listed.isInterrupted =
                sessions[index].listed.isInterrupted || session.listed.isInterrupted
            sessions[index].end = session.end
            sessions[index].isEndUncertain = session.isEndUncertain
            sessions[index].isDoubtful = sessions[index].isDoubtful || session.isDoubtful
            sessions[index].isOfMount = sessions[index].isOfMount || session.isOfMount
            // All of it was read, and written anew.
            sessions[index].isDamaged = false
        }
        sessions.removeAll { $0.listed.name == session.listed.name }
        if undo == session.listed.name { undo = nil }
    }

    /// The session of this name that has ended.
    func known(_ name: String) -> Known? { sessions.first { $0.listed.name == name } }

    /// Takes up which of the sessions that were to go are gone, and which marks they have, after a process
    /// has died at it.
    ///
    /// - Returns: what is wrong.
    mutating func note(
        goneOf names: [String], pinned step: Step, in listed: [ListedSession]
    ) -> [String] {
        var problems: [String] = []
        if step.act == .pin || step.act == .unpin {
            for now in listed where names.contains(now.name) {
                if now.isCurrent { store?.isPinned = now.isPinned }
                for index in sessions.indices where sessions[index].listed.name == now.name {
                    sessions[index].listed.isPinned = now.isPinned
                }
                if now.name == store?.name { store?.isPinned = now.isPinned }
            }
            return problems
        }
        let present = Set(listed.map(\.name))
        for name in names where !present.contains(name) {
            guard let session = known(name) else { continue }
            let departing = departing(session)
            if !departing.refusals.isEmpty, !departing.mayGoOn {
                problems.append("session \(name) is gone, and had to stay")
            }
            remove(session)
        }
        return problems
    }
}

/// What must be true of a device and its sessions, as a value: copies of its contents, and who may know
/// what. Of how any of that is done it knows nothing.
package struct Model: Sendable {
    /// Where the device is.
    enum Phase: Hashable, Sendable {
        /// Not activated: nothing captures.
        case plain
        /// Activated, its tables loaded.
        case armed
        /// Activated, and the machine has stopped since.
        case off
    }

    /// The store that captures.
    struct Present: Sendable {
        /// What the device held when it was armed; its session goes back to that.
        let begin: [UInt8]
        /// Something was overwritten.
        var isWritten = false
        /// Whether it was only the kernel can tell: an online restore is or was under way.
        var isUncertain = false
        /// A session has its name.
        var isOpen = false
        /// The name, once somebody has looked.
        var name: String?
        /// That session is pinned.
        var isPinned = false
        /// It has missed writes, or will.
        var isLost = false
        /// It was armed in the middle of an online restore.
        var isMidway = false
        /// Something wrote past it, where it may be seen or not.
        var mayBreak = false

        init(_ begin: [UInt8]) { self.begin = begin }
    }

    /// A session that must be there now.
    struct Birth: Sendable {
        let begin: [UInt8]
        let end: [UInt8]
        var isInvalid = false
        var isMidway = false
        var isPinned = false
        var mayBreak = false
        /// The machine stopped while it captured.
        var isInterrupted = false
        /// It is no fault if it isn't there.
        var isOptional = false
        /// What the device itself held at the end nobody has seen: something else was shown.
        var isEndUncertain = false
        /// Something was mounted in it.
        var isOfMount = false
    }

    /// A session that is there.
    struct Known: Sendable {
        var listed: ListedSession
        /// What restoring it must give.
        let begin: [UInt8]
        /// What the device held at its end, kept up by restores; nil if nobody may know.
        var end: [UInt8]?
        /// Whether `end` is so nobody can tell: a process died that may have changed it.
        var isEndUncertain = false
        /// Something wrote past it before it was closed, which only a comparison can find.
        var isDoubtful = false
        /// Some of its bits were flipped.
        var isDamaged = false
        /// Something was surely mounted in it.
        var isOfMount = false
    }

    var phase = Phase.plain
    /// What a reader gets.
    var device: [UInt8]
    var store: Present?
    var isMounted = false
    var isMerging = false
    /// What an online restore shows may lack something that a power cut took.
    var isCutMerging = false
    var position: ChainPosition?
    var births: [Birth] = []
    /// Those that have ended, the oldest first.
    var sessions: [Known] = []
    /// What the latest restore overwrote.
    var undo: String?
    /// A restore that nothing captures may have been cut short.
    var mayBeHalfway = false

    init(device: [UInt8]) { self.device = device }

    /// A new store has taken over.
    mutating func exchange() {
        endStore()
        store = Present(device)
    }

    /// The present store captures no more; what it holds is a session.
    mutating func endStore() {
        guard let store else { return }
        self.store = nil
        guard store.isWritten || store.isLost || store.isUncertain else { return }
        births.append(
            Birth(
                begin: store.begin, end: device, isInvalid: store.isLost, isMidway: store.isMidway,
                isPinned: store.isPinned, mayBreak: store.mayBreak, isInterrupted: phase == .off,
                isOptional: store.isUncertain && !store.isLost
                    && (isMerging || store.isMidway || store.begin == device),
                isOfMount: store.isOpen))
    }

    /// Whether an exchange would change anything.
    var isExchangeDue: Bool {
        guard let store else { return false }
        return store.isWritten || store.isOpen || store.isLost || store.isUncertain
    }

    /// Takes up what a process that died has left, after somebody has put everything right: the present
    /// store is a new one.
    ///
    /// - Parameters:
    ///   - keepsDevice: whether it was a process that leaves the device as it is.
    ///   - beginning: what the device held when a store began to capture.
    /// - Returns: what is wrong.
    mutating func adopt(
        _ listed: [ListedSession], device: [UInt8], position: ChainPosition?, keepsDevice: Bool,
        beginning: (String) -> [UInt8]?
    ) -> [String] {
        var problems: [String] = []
        let wasLost = store?.isLost ?? false
        let mayBreak = store?.mayBreak ?? false
        let isEndUncertain = !keepsDevice || isMerging
        let known = Set(sessions.map(\.listed.name))
        for session in listed where !session.isCurrent && !known.contains(session.name) {
            let seen = beginning(session.store) ?? (isEndUncertain ? nil : store?.begin)
            guard let begin = seen else {
                problems.append("session \(session.name) is of a store that nobody armed")
                continue
            }
            if session.isInvalid, !wasLost { problems.append("session \(session.name) is invalid") }
            if session.isBroken, !mayBreak { problems.append("session \(session.name) is broken") }
            if session.isPinned != (session.name == store?.name && store?.isPinned == true) {
                problems.append(
                    "session \(session.name) is \(session.isPinned ? "" : "not ")pinned")
            }
            let end = session.hasEnd && !isEndUncertain ? device : nil
            sessions.append(
                Known(listed: session, begin: begin, end: end, isDoubtful: mayBreak))
        }
        if isEndUncertain {
            for index in sessions.indices { sessions[index].isEndUncertain = true }
        }
        births = []
        phase = position == nil ? .plain : .armed
        self.position = position
        self.device = device
        store = position == nil ? nil : Present(device)
        isMerging = false
        isCutMerging = false
        return problems + observe(listed, isContinued: false)
    }

    /// Gives the sessions that were to be born their names.
    ///
    /// - Parameter isContinued: whether they must be next to each other in the chain, from `position` on.
    /// - Returns: what is wrong.
    mutating func observe(_ listed: [ListedSession], isContinued: Bool) -> [String] {
        var problems: [String] = []
        let ended = listed.filter { !$0.isCurrent }
        let present = Set(ended.map(\.name))
        for known in sessions where !present.contains(known.listed.name) {
            problems.append("session \(known.listed.name) is gone")
        }
        sessions.removeAll { !present.contains($0.listed.name) }
        for index in sessions.indices {
            guard let now = ended.first(where: { $0.name == sessions[index].listed.name })
            else { continue }
            problems += judge(now, sessions[index])
            sessions[index].listed = now
        }
        let known = Set(sessions.map(\.listed.name))
        let new = ended.filter { !known.contains($0.name) }
        if new.count < births.count { births.removeAll(where: \.isOptional) }
        if new.count != births.count {
            problems.append("\(new.count) sessions are new, and not \(births.count)")
        }
        for (session, birth) in zip(new, births) {
            problems += judge(session, birth)
            if isContinued, let place = position, session.position != place {
                problems.append("session \(session.name) isn't next in the chain")
            }
            position = ChainPosition(
                chain: session.position.chain, index: session.position.index + 1)
            sessions.append(
                Known(
                    listed: session, begin: birth.begin, end: session.hasEnd ? birth.end : nil,
                    isEndUncertain: birth.isEndUncertain, isDoubtful: birth.mayBreak,
                    isOfMount: birth.isOfMount))
        }
        births = []
        let isOpen = listed.contains(where: \.isCurrent)
        if isOpen != (store?.isOpen ?? false) {
            problems.append(isOpen ? "a session is open" : "no session is open")
        }
        if let open = listed.first(where: \.isCurrent), let store {
            self.store?.name = open.name
            if open.isPinned != store.isPinned {
                problems.append("session \(open.name) is \(open.isPinned ? "" : "not ")pinned")
            }
        }
        return problems
    }

    /// What may not change of a session that is known.
    private func judge(_ now: ListedSession, _ known: Known) -> [String] {
        var problems: [String] = []
        let old = known.listed
        if now.position != old.position || now.lastIndex != old.lastIndex {
            problems.append(
                "session \(now.name) covers \(now.position.index) to \(now.lastIndex), and not "
                    + "\(old.position.index) to \(old.lastIndex)")
        }
        if now.isPinned != old.isPinned {
            problems.append("session \(now.name) is \(now.isPinned ? "" : "not ")pinned")
        }
        if now.isInterrupted != old.isInterrupted {
            problems.append(
                "session \(now.name) says now that it was \(now.isInterrupted ? "" : "not ")cut short"
            )
        }
        if now.isHalfway, !mayBeHalfway {
            problems.append("session \(now.name) says that a restore of it was cut short")
        }
        return problems
    }

    private func judge(_ session: ListedSession, _ birth: Birth) -> [String] {
        var problems: [String] = []
        if session.isInvalid != birth.isInvalid {
            problems.append(
                "session \(session.name) is \(session.isInvalid ? "invalid" : "not invalid")")
        }
        if session.isBroken, !birth.mayBreak {
            problems.append("session \(session.name) says that something wrote past it")
        }
        if session.isInterrupted != birth.isInterrupted {
            problems.append(
                "session \(session.name) says that it was \(session.isInterrupted ? "" : "not ")cut short"
            )
        }
        if session.isPinned != birth.isPinned {
            problems.append("session \(session.name) is \(session.isPinned ? "" : "not ")pinned")
        }
        if session.isMidway != birth.isMidway {
            problems.append(
                "session \(session.name) begins \(session.isMidway ? "in" : "not in") the middle")
        }
        if !session.hasEnd, !session.isBroken {
            problems.append("session \(session.name) doesn't know its end")
        }
        return problems
    }
}

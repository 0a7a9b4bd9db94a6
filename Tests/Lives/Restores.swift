/// Restores, and what must come of them.
extension Life {
    mutating func restore(_ session: Model.Known?, _ way: RestoreWay) throws {
        guard let session else { return }
        try noteMergesEnd()
        switch model.phase {
        case .plain: try restoreBare(session, way)
        case .armed: try restoreArmed(session, way)
        case .off: try restoreUnassembled(session, way)
        }
    }

    private func tried(
        _ session: Model.Known, _ way: RestoreWay
    ) throws -> Result<RestoreResult, Refusal> {
        do {
            return .success(try machine.restore(session.listed, way, copy: nil))
        } catch let refusal as Refusal {
            return .failure(refusal)
        }
    }

    /// Back to before the last mount, which dmsnap has to find.
    mutating func reset() throws {
        guard model.phase == .armed else { return }
        try noteMergesEnd()
        let before = model.device
        let outcome: Result<ResetResult, Refusal>
        do {
            outcome = .success(try machine.reset())
        } catch let refusal as Refusal {
            outcome = .failure(refusal)
        }
        if model.isMounted || model.isMerging {
            switch outcome {
            case .failure(let refusal) where refusal.status == 75: return count(\.refusals)
            case .success(.nothingToUndo) where !model.isMounted: return
            default: throw fail("it isn't refused as busy: \(outcome)")
            }
        }
        switch outcome {
        case .success(.nothingToUndo):
            try settleArmed(undo: nil)
            if let last = latest, last.isOfMount {
                throw fail("there is no mount to undo, and \(last.listed.name) was one")
            }
        case .success(.restored(let name, let result)):
            try settleArmed(undo: result.undo)
            guard let session = model.known(name) else {
                throw fail("\(name) is restored, and isn't there")
            }
            guard try judgeArmed(session, .plain, .success(result), before) else { return }
            let again = try machine.reset()
            guard case .nothingToUndo = again else {
                throw fail("it was put back, and then again: \(again)")
            }
        case .failure(let refusal):
            try settleArmed(undo: refusal.undo)
            try judge(refusal, before)
        }
    }

    /// The last session of the device's chain.
    private var latest: Model.Known? {
        model.sessions.filter { $0.listed.position.chain == model.position?.chain }
            .max { $0.listed.position.index < $1.listed.position.index }
    }

    /// A reset is refused where there is nothing, or where one of the restores that it may have meant is.
    private mutating func judge(_ refusal: Refusal, _ before: [UInt8]) throws {
        let right = model.sessions.contains { session in
            model.verdict(
                session, target: nil, accepting: false, comparesAll: machine.comparesAll
            ).refusals.contains(refusal.status)
        }
        guard right || model.sessions.isEmpty && refusal.status == 66 else { throw refusal }
        count(\.refusals)
        if let undo = refusal.undo { try noteUndo(undo, before) }
    }

    /// Through the armed device: captured itself, and undone by a session of its own.
    private mutating func restoreArmed(_ session: Model.Known, _ way: RestoreWay) throws {
        let before = model.device
        let outcome = try tried(session, way)
        if model.isMounted || model.isMerging {
            guard case .failure(let refusal) = outcome, refusal.status == 75 else {
                throw fail("it isn't refused as busy: \(outcome)")
            }
            count(\.refusals)
            return
        }
        let undo: String? =
            switch outcome {
            case .success(let result): result.undo
            case .failure(let refusal): refusal.undo
            }
        try settleArmed(undo: undo)
        _ = try judgeArmed(session, way, outcome, before)
    }

    /// What was over, or written outside a mount, was closed before anything else.
    ///
    /// - Parameter undo: what was made after that.
    private mutating func settleArmed(undo: String?) throws {
        if model.isExchangeDue { model.exchange() }
        let isBroken = model.births.contains(where: \.mayBreak)
        let listed = try machine.sessions().filter { $0.name != undo }
        if let problem = model.observe(listed, isContinued: !isBroken).first {
            throw fail(problem)
        }
        guard let place = try machine.place() else { throw fail("it is not activated") }
        model.position = ChainPosition(
            chain: place.chain, index: place.index - (undo == nil ? 0 : 1))
    }

    /// - Parameter before: what the device held.
    /// - Returns: whether a session undoes it.
    private mutating func judgeArmed(
        _ session: Model.Known, _ way: RestoreWay, _ outcome: Result<RestoreResult, Refusal>,
        _ before: [UInt8]
    ) throws -> Bool {
        let verdict = model.verdict(
            session, target: nil, accepting: way == .acceptingWrites,
            comparesAll: machine.comparesAll)
        switch outcome {
        case .failure(let refusal):
            try judge(session, verdict, refusal, on: "the device")
            guard verdict.isDoubtful else { return false }
            if let undo = refusal.undo { try noteUndo(undo, before) }
            if way == .online { try noteOnline() }
            return false
        case .success(let result):
            let now = try machine.contents()
            try judge(session, verdict, result, gave: now, on: "the device")
            model.device = now
            if result.isOnline {
                try noteOnline()
            } else if let undo = result.undo {
                try noteUndo(undo, before)
            } else if now != before || !machine.capturesChangesOnly {
                throw fail("no session undoes the restore")
            }
            return result.undo != nil && !result.isOnline
        }
    }

    private mutating func noteOnline() throws {
        model.device = try machine.contents()
        model.store?.isUncertain = true
        model.isMerging = try machine.isMerging()
        count(\.online)
    }

    private mutating func noteUndo(_ undo: String, _ before: [UInt8]) throws {
        model.device = try machine.contents()
        model.undo = undo
        model.births.append(Model.Birth(begin: before, end: model.device))
        model.store = Model.Present(model.device)
    }

    /// To a device that isn't activated: nothing captures that.
    private mutating func restoreBare(_ session: Model.Known, _ way: RestoreWay) throws {
        let before = model.device
        let outcome = try tried(session, way)
        guard way != .online else {
            guard case .failure(let refusal) = outcome, refusal.status == 64 else {
                throw fail("it isn't refused: \(outcome)")
            }
            count(\.refusals)
            return
        }
        let verdict = model.verdict(
            session, target: before, accepting: way == .acceptingWrites,
            comparesAll: machine.comparesAll)
        switch outcome {
        case .failure(let refusal):
            try judge(session, verdict, refusal, on: "the device")
            guard verdict.isDoubtful else { return }
            model.device = try machine.contents()
            if model.device != before {
                noteEnd(of: session.listed.position.chain, before, model.device)
            }
        case .success(let result):
            let now = try machine.contents()
            try judge(session, verdict, result, gave: now, on: "the device")
            model.device = now
            if result.isOwn { noteEnd(of: session.listed.position.chain, before, now) }
        }
    }

    /// The chain ends in what its last session was put back to, if it was whole up to there.
    private mutating func noteEnd(of chain: String, _ before: [UInt8], _ now: [UInt8]) {
        let indices = model.sessions.indices.filter {
            model.sessions[$0].listed.position.chain == chain
        }
        let last = indices.max {
            model.sessions[$0].listed.position.index < model.sessions[$1].listed.position.index
        }
        guard let last, !model.sessions[last].isEndUncertain else { return }
        model.sessions[last].end = model.sessions[last].end == before ? now : nil
    }

    /// After a boot, and before anything is put together: not yet.
    private mutating func restoreUnassembled(_ session: Model.Known, _ way: RestoreWay) throws {
        guard case .failure(let refusal) = try tried(session, way),
            [66, 75].contains(refusal.status)
        else { throw fail("it isn't refused") }
        count(\.refusals)
    }

    /// What a restore says is true, and it was right not to refuse it.
    mutating func judge(
        _ session: Model.Known, _ verdict: Verdict, _ result: RestoreResult, gave now: [UInt8],
        on what: String
    ) throws {
        let name = session.listed.name
        if !verdict.refusals.isEmpty, !verdict.mayGoOn, !verdict.isLifted {
            throw fail("\(name) is restored to \(what), and must be refused")
        }
        let isExact = now == session.begin
        if result.isProven, !result.isConditional || machine.comparesAll, !isExact {
            throw fail("\(name) is restored to \(what), and gives something else")
        }
        if !isExact || !result.isProven, !verdict.isLifted, !verdict.isDoubtful {
            throw fail("\(name) is restored to \(what), and isn't proven")
        }
        if isExact { count(\.exact) } else { count(\.inexact) }
    }

    /// It was right to refuse it.
    mutating func judge(
        _ session: Model.Known, _ verdict: Verdict, _ refusal: Refusal, on what: String
    ) throws {
        guard verdict.refusals.contains(refusal.status) else {
            throw fail("\(session.listed.name), restored to \(what), is \(refusal)")
        }
        count(\.refusals)
    }
}

/// Restores, and what must come of them.
extension Life {
    mutating func restore(_ session: Model.Known?, _ way: RestoreWay) throws {
        guard let session else { return }
        try noteMergesEnd()
        switch model.phase {
        case .plain: try restoreBare(session, way)
        case .armed: _ = try restoreArmed(session, way)
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
        guard machine.canReset, model.phase == .armed else { return }
        try noteMergesEnd()
        let target: String?
        do {
            target = try machine.resetTarget()
        } catch let refusal as Refusal {
            let mayBe = refusal.status == 75 ? model.isMounted : model.sessions.isEmpty
            guard mayBe else { throw refusal }
            count(\.refusals)
            if refusal.status != 75, model.isExchangeDue { model.exchange() }
            return
        }
        if model.isMounted {
            throw fail("it was mounted, and is to be put back to \(target ?? "nothing")")
        }
        if !model.isMerging, model.isExchangeDue { model.exchange() }
        if let problem = model.observe(try machine.sessions(), isContinued: false).first {
            throw fail(problem)
        }
        model.position = try machine.place()
        guard let target else {
            let last = model.sessions.filter {
                $0.listed.position.chain == model.position?.chain
            }.max { $0.listed.position.index < $1.listed.position.index }
            if let last, last.isOfMount, !model.isMerging {
                throw fail("there is no mount to undo, and \(last.listed.name) was one")
            }
            return
        }
        // One that an online restore went back to may be gone since.
        guard let session = model.known(target) else { return }
        guard try restoreArmed(session, .plain) else { return }
        if let again = try machine.resetTarget() {
            throw fail("\(target) was put back, and \(again) is to be after it")
        }
    }

    /// Through the armed device: captured itself, and undone by a session of its own.
    ///
    /// - Returns: whether a session undoes it.
    private mutating func restoreArmed(
        _ session: Model.Known, _ way: RestoreWay
    ) throws -> Bool {
        let before = model.device
        let outcome = try tried(session, way)
        if model.isMounted || model.isMerging {
            guard case .failure(let refusal) = outcome, refusal.status == 75 else {
                throw fail("it isn't refused as busy: \(outcome)")
            }
            count(\.refusals)
            return false
        }
        // What was over, or written outside a mount, is closed before anything else.
        if model.isExchangeDue { model.exchange() }
        let undo: String? =
            switch outcome {
            case .success(let result): result.undo
            case .failure(let refusal): refusal.undo
            }
        let isBroken = model.births.contains(where: \.mayBreak)
        let listed = try machine.sessions().filter { $0.name != undo }
        if let problem = model.observe(listed, isContinued: !isBroken).first {
            throw fail(problem)
        }
        guard let place = try machine.place() else { throw fail("it is not activated") }
        model.position = ChainPosition(
            chain: place.chain, index: place.index - (undo == nil ? 0 : 1))
        let verdict = model.verdict(
            session, target: nil, accepting: way == .acceptingWrites,
            comparesAll: machine.comparesAll)
        switch outcome {
        case .failure(let refusal):
            try judge(session, verdict, refusal, on: "the device")
            guard verdict.isDoubtful else { return false }
            if let undo { try noteUndo(undo, before) }
            if way == .online { try noteOnline() }
            return false
        case .success(let result):
            let now = try machine.contents()
            try judge(session, verdict, result, gave: now, on: "the device")
            model.device = now
            if result.isOnline {
                try noteOnline()
            } else if let undo {
                try noteUndo(undo, before)
            } else if now != before || !machine.capturesChangesOnly {
                throw fail("no session undoes the restore")
            }
            return undo != nil && !result.isOnline
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

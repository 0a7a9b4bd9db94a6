/// What each step does, and what must come of it.
extension Life {
    mutating func act(_ step: Step) throws {
        switch step.act {
        case .activate: try activate()
        case .deactivate: try deactivate()
        case .assemble: try assemble(by: .assemble)
        case .restore: try restore(chosen(step.number), .plain)
        case .accept: try restore(chosen(step.number), .acceptingWrites)
        case .online: try restore(chosen(step.number), .online)
        case .undo:
            try restore(model.sessions.first { $0.listed.name == model.undo }, .plain)
        case .archive: try archive(step.number)
        case .checkpoint: try checkpoint()
        case .reset: try reset()
        case .delete: try delete(step.number)
        case .prune: try prune(step.number)
        case .pin: try pin(step.number, true)
        case .unpin: try pin(step.number, false)
        case .die: break
        case .mount, .write, .fsync, .remount, .unmount, .check: try use(step)
        case .monitor: try monitor()
        case .merge: try merge(step.number)
        case .crash: try crash(losing: nil)
        case .cut: try crash(losing: step.number)
        case .rescue: try rescue(step.number)
        case .rename, .fill, .gap, .damage: try harm(step)
        }
    }

    /// One of the sessions, if there is any.
    private func chosen(_ number: Int) -> Model.Known? {
        model.sessions.isEmpty ? nil : model.sessions[number % model.sessions.count]
    }

    private mutating func activate() throws {
        switch model.phase {
        case .armed: try machine.activate()
        case .off: try assemble(by: .activate)
        case .plain:
            try machine.activate()
            model.phase = .armed
            model.store = Model.Present(model.device)
            guard let place = try machine.place() else { throw fail("it is not activated") }
            try judgeContinuation(place)
        }
    }

    /// A chain is gone on with where it ends in what the device holds, and nowhere else.
    private func judgeContinuation(_ place: ChainPosition) throws {
        let chains = Set(model.sessions.map(\.listed.position.chain))
        let ends = chains.compactMap { chain in
            model.sessions.filter { $0.listed.position.chain == chain }
                .max { $0.listed.position.index < $1.listed.position.index }
        }
        let fitting = ends.filter { $0.end == model.device }
        if chains.contains(place.chain) {
            let isRight = ends.contains {
                $0.listed.position.chain == place.chain
                    && ($0.isEndUncertain || $0.end == model.device)
                    && $0.listed.lastIndex + 1 == place.index
            }
            if !isRight {
                let known = ends.map { one in
                    "\(one.listed.name) ends \(one.listed.position.chain.prefix(4)) at \(one.listed.lastIndex) "
                        + (one.end == model.device ? "with what it is" : "with something else")
                }
                throw fail(
                    "it goes on with \(place.chain.prefix(4)) at \(place.index), a chain that doesn't end there: "
                        + known.joined(separator: ", "))
            }
        } else if fitting.contains(where: { !$0.isEndUncertain }) {
            throw fail("it doesn't go on with the chain that ends there")
        }
    }

    private mutating func deactivate() throws {
        guard model.phase != .plain else { return }
        try noteMergesEnd()
        do {
            try machine.deactivate()
        } catch let refusal as Refusal {
            guard refusal.status == 75, model.isMounted || model.isMerging else { throw refusal }
            count(\.refusals)
            return
        }
        if model.isMounted { throw fail("it was mounted") }
        if model.isMerging, model.phase == .armed { throw fail("not all was back") }
        try leaveMerge()
        model.endStore()
        model.phase = .plain
    }

    private mutating func assemble(by act: Step.Act) throws {
        guard model.phase == .off else { return }
        if act == .activate { try machine.activate() } else { try machine.assemble() }
        model.phase = .armed
        let wasMerging = model.isMerging
        model.isMerging = try machine.isMerging()
        if wasMerging { try settleMerge() }
        let before = model.sessions.count
        let old = model.store
        model.exchange()
        for index in model.births.indices {
            model.births[index].isInterrupted = true
            model.births[index].isEndUncertain = wasMerging && model.isMerging
        }
        guard wasMerging, model.isMerging else { return }
        // What is begun now is the middle of a restore, if the first part is a session; if it had kept
        // nothing, nothing was put back yet.
        let new = try machine.sessions().filter { !$0.isCurrent }.count
        model.store = Model.Present(old?.begin ?? model.device)
        model.store?.isMidway = old?.isMidway == true || new > before
        model.store?.isUncertain = true
    }

    /// An online restore is at its end, or was; what the device holds is only now sure.
    private mutating func settleMerge() throws {
        let now = try machine.contents()
        if model.isCutMerging {
            model.device = now
            model.isCutMerging = false
        }
    }

    private mutating func leaveMerge() throws {
        model.isMerging = false
        model.isCutMerging = false
        if model.phase == .off { model.device = try machine.contents() }
    }

    mutating func noteMergesEnd() throws {
        guard model.isMerging, model.phase == .armed else { return }
        model.isMerging = try machine.isMerging()
    }

    /// - Parameter number: of those that are made; 0 for all.
    private mutating func archive(_ number: Int) throws {
        if machine.archivesWithMonitor { try monitor() }
        let isWhole = try machine.archive(atMost: number == 0 ? .max : 1 + number % 3)
        if !isWhole, !model.sessions.contains(where: \.isDamaged) {
            throw fail("an archive can't be made")
        }
    }

    private mutating func use(_ step: Step) throws {
        guard model.phase == .armed else { return }
        switch step.act {
        case .mount:
            guard !model.isMounted else { return }
            guard try machine.mount() else {
                // A file system that can't be mounted may have been written by the attempt.
                model.store?.isUncertain = true
                model.device = try machine.contents()
                return
            }
            model.isMounted = true
            model.store?.isOpen = true
            // A real file system writes as it is mounted, more often than not.
            if !machine.canReadMounted { model.store?.isUncertain = true }
        case .remount:
            guard model.isMounted else { return }
            try machine.remount()
        case .unmount:
            guard model.isMounted else { return }
            try machine.unmount()
            model.isMounted = false
        case .fsync:
            try machine.synchronize()
            return
        default:
            if step.act == .check, model.isMounted { return }
            try machine.write(step.number)
            // What is written in a mount of a real one may not have got through.
            if isReadable { model.store?.isWritten = true }
        }
        if isReadable { model.device = try machine.contents() }
        if step.act == .check { try monitor() }
    }

    private mutating func monitor() throws {
        guard model.phase == .armed else { return }
        try machine.monitor()
        try noteMergesEnd()
        if !model.isMounted, !model.isMerging, model.isExchangeDue { model.exchange() }
    }

    private mutating func checkpoint() throws {
        guard model.phase == .armed else { return }
        try noteMergesEnd()
        do {
            if let seen = try machine.checkpoint() { model.device = seen }
        } catch let refusal as Refusal {
            guard refusal.status == 75, model.isMerging else { throw refusal }
            count(\.refusals)
            return
        }
        if model.isMerging { throw fail("it was taken in the middle of a restore") }
        guard model.isMounted || model.isExchangeDue else { return }
        model.exchange()
        if model.isMounted {
            model.store?.isOpen = true
            if !machine.canReadMounted { model.store?.isUncertain = true }
            count(\.checkpoints)
        }
    }

    private mutating func merge(_ chunks: Int) throws {
        guard model.phase == .armed, model.isMerging else { return }
        try machine.merge(chunks)
        try noteMergesEnd()
    }

    private mutating func crash(losing: Int?) throws {
        guard model.phase == .armed else { return }
        count(losing == nil ? \.crashes : \.cuts)
        try noteMergesEnd()
        let isKnown = losing == nil && isReadable
        try machine.crash(losing: losing)
        model.phase = .off
        model.isMounted = false
        if model.isMerging {
            model.store?.isUncertain = true
            model.isCutMerging = model.isCutMerging || losing != nil
        } else {
            let now = try machine.contents()
            if isKnown, now != model.device { throw fail("the device holds something else") }
            model.device = now
        }
    }

    private mutating func rescue(_ number: Int) throws {
        guard model.phase != .armed, !model.isMerging else { return }
        try machine.writePast(number)
        model.store?.mayBreak = true
        model.device = try machine.contents()
    }

    private mutating func harm(_ step: Step) throws {
        switch step.act {
        case .rename:
            guard model.phase != .armed else { return }
            _ = try machine.rename()
        case .fill:
            guard model.phase == .armed, try machine.fillStore(step.number) else { return }
            model.store?.isLost = true
        case .gap:
            guard let session = chosen(step.number) else { return }
            try machine.remove(session.listed)
            model.sessions.removeAll { $0.listed.name == session.listed.name }
            model.forgetEnd(before: session.listed)
            if model.undo == session.listed.name { model.undo = nil }
        default:
            guard let session = chosen(step.number), !session.listed.isInvalid else { return }
            try machine.damage(session.listed, step.number)
            for index in model.sessions.indices
            where model.sessions[index].listed.name == session.listed.name {
                model.sessions[index].isDamaged = true
            }
        }
    }
}

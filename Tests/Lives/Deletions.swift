/// Sessions deleted, pruned and pinned, and what must come of it.
extension Life {
    /// Which a step means: one, or up to three more that come after it.
    private func chosen(_ number: Int, severally: Bool) throws -> [ListedSession] {
        let all = try machine.sessions()
        guard !all.isEmpty else { return [] }
        let count = severally ? min(all.count, 1 + max(0, number % 1000 / 100 - 6)) : 1
        return (0..<count).map { all[(number + $0) % all.count] }
    }

    mutating func delete(_ number: Int) throws {
        let wanted = try chosen(number, severally: true)
        if wanted.isEmpty { return }
        let result = try machine.delete(wanted)
        var left = wanted
        for departure in result.gone {
            guard let next = left.first(where: { $0.name == departure.name }) else {
                throw fail("\(departure.name) was deleted, and not asked for")
            }
            if left.contains(where: { $0.position.index < next.position.index }) {
                throw fail("\(departure.name) was deleted before an older one")
            }
            left.removeAll { $0.name == departure.name }
            try depart(departure)
        }
        guard let refusal = result.refusals.first else {
            guard left.isEmpty else { throw fail("\(left.map(\.name)) are said to be deleted") }
            return
        }
        // Of several chains any may come first.
        let first = left.map(\.position.index).min()
        let right = left.filter { $0.position.index == first }.contains { session in
            guard let known = model.known(session.name) else {
                return refusal.status == (session.isPinned ? 64 : 75)
            }
            return model.departing(known).refusals.contains(refusal.status)
        }
        guard right else { throw fail("deleting \(left.map(\.name)) is \(refusal)") }
        count(\.refusals)
    }

    /// One is said to be gone: it was right, and to that place.
    private mutating func depart(_ departure: Departure) throws {
        guard let known = model.known(departure.name) else {
            throw fail("\(departure.name) was deleted, and is open")
        }
        let departing = model.departing(known)
        if !departing.refusals.isEmpty, !departing.mayGoOn {
            throw fail("\(departure.name) was deleted, and must be refused")
        }
        guard departing.into == departure.into else {
            throw fail(
                "\(departure.name) went to \(departure.into ?? "nothing"), and not to "
                    + (departing.into ?? "nothing"))
        }
        model.remove(known)
        if departure.into == nil { count(\.deleted) } else { count(\.merged) }
    }

    mutating func pin(_ number: Int, _ isPinned: Bool) throws {
        guard let session = try chosen(number, severally: false).first else { return }
        try machine.pin(session, isPinned)
        if session.isCurrent { model.store?.isPinned = isPinned }
        for index in model.sessions.indices
        where model.sessions[index].listed.name == session.name {
            model.sessions[index].listed.isPinned = isPinned
        }
        count(\.pins)
    }

    /// What a number orders, of the sessions that are there.
    private func order(_ number: Int, _ total: UInt64) throws -> PruneOrder {
        let part = number / 6 % 10
        let kibibytes = total >> 10
        let rule: PruneRule =
            switch number % 3 {
            case 0: .keepLast(1 + part % 4)
            case 1: .maxSize(max(1, kibibytes * UInt64(part) / 10))
            default:
                machine.knowsRoom
                    ? .minFree(kibibytes * UInt64(part) / 10)
                    : .maxSize(max(1, kibibytes * UInt64(part) / 20))
            }
        let isOfActivated = try number / 3 % 2 == 1 && machine.activatedPath() != nil
        return PruneOrder(rule: rule, isOfActivated: machine.knowsRoom && isOfActivated)
    }

    /// What would go, which is looked at; nothing does.
    private func planned(_ number: Int) throws -> (order: PruneOrder, plan: [Departure]) {
        var listed = try machine.sessions()
        let total = try listed.reduce(0) { try $0 + machine.bytes(of: $1) }
        var order = try order(number, total)
        if order.isOfActivated {
            let path = try machine.activatedPath()
            let chains = Set(listed.filter { $0.device == path }.map(\.position.chain))
            listed.removeAll {
                !chains.contains($0.position.chain)
                    && $0.position.chain != model.position?.chain
            }
        }
        let pruning = Pruning(order.rule, listed, bytes: try listed.map(machine.bytes))
        order.isDryRun = true
        let result = try machine.prune(order)
        if let refusal = result.refusals.first { throw fail("a dry run is \(refusal)") }
        if let problem = pruning.problems(with: result.gone).first { throw fail(problem) }
        order.isDryRun = false
        return (order, result.gone)
    }

    mutating func prune(_ number: Int) throws {
        let (order, plan) = try planned(number)
        let result = try machine.prune(order)
        let gone = Set(result.gone)
        var failures = 0
        for departure in plan {
            guard let known = model.known(departure.name) else {
                throw fail("\(departure.name) is to go, and is open")
            }
            if gone.contains(departure) {
                try depart(departure)
                count(\.pruned)
                continue
            }
            // What stays keeps others from going as they were to.
            let departing = model.departing(known)
            guard departing.into != departure.into || !departing.refusals.isEmpty else {
                throw fail("\(departure.name) was to go, and is there: \(result.refusals)")
            }
            failures += 1
        }
        guard result.gone.count == plan.count - failures,
            result.refusals.isEmpty == (failures == 0)
        else { throw fail("\(plan) was to go, and did \(result.gone), \(result.refusals)") }
    }

    /// Which sessions a step may take away or mark, in this order.
    func mayGo(by step: Step) throws -> [String] {
        switch step.act {
        case .delete:
            try chosen(step.number, severally: true)
                .sorted { $0.position.index < $1.position.index }.map(\.name)
        case .prune: try planned(step.number).plan.map(\.name)
        default: try chosen(step.number, severally: false).map(\.name)
        }
    }

    /// After a death and before anybody has put anything right: each session that is there is restored to
    /// a copy of the device.
    mutating func lookHalfway(at names: [String], after step: Step) throws {
        let problems = model.note(goneOf: names, pinned: step, in: try machine.sessions())
        if let problem = problems.first { throw fail("halfway: \(problem)") }
        guard isQuiet, !model.isMerging else { return }
        for session in model.sessions { try tryOnCopy(session) }
    }
}

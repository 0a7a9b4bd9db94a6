import Block
import KernelSimulation
import Lives
import Sessions
import SystemPackage

/// Sessions that go, by what dmsnap's own verbs call.
extension SimulatedMachine {
    func delete(_ sessions: [ListedSession]) throws -> DeletionResult {
        var result = DeletionResult()
        do {
            try asked {
                try world.service().keeper.delete(sessions.map(\.name)) { outcome in
                    switch outcome {
                    case .deleted(let name): result.gone.append(Departure(name.text, into: nil))
                    case .merged(let name, let older):
                        result.gone.append(Departure(name.text, into: older.text))
                    }
                }
            }
        } catch let refusal as Refusal {
            result.refusals.append(refusal)
        }
        return result
    }

    func pin(_ session: ListedSession, _ isPinned: Bool) throws {
        try asked { _ = try world.service().keeper.pin([session.name], isPinned) }
    }

    func prune(_ order: PruneOrder) throws -> DeletionResult {
        let rule =
            switch order.rule {
            case .keepLast(let count): "keep-last = \(count)"
            case .maxSize(let most): "max-size = \"\(most)K\""
            case .minFree(let missing):
                "min-free = \"\(world.kernel.free.bytes >> 10 + missing)K\""
            }
        try configure(rule)
        let outcome = try asked {
            try world.service().keeper.prune(
                order.isOfActivated ? .activated : .all, isDryRun: order.isDryRun)
        }
        try configure("")
        var result = DeletionResult()
        result.gone = outcome.removals.map { removal in
            switch removal.way {
            case .deleted: Departure(removal.session.text, into: nil)
            case .merged(let older): Departure(removal.session.text, into: older.text)
            }
        }
        result.refusals = outcome.failures.map {
            Refusal(status: Int($0.exitStatus.rawValue), message: "\($0)")
        }
        return result
    }

    func bytes(of session: ListedSession) throws -> UInt64 {
        try Files.list(directory(session)).reduce(0) {
            try $0 + FileStatus(directory(session).appending($1), follow: false).allocated.bytes
        }
    }

    func activatedPath() throws -> String? { try activation()?.path.text }

    func remains() throws -> [String] {
        let base = world.layout.defaultSessions
        let deleted = base.appending(".deleted")
        let rubbish = Files.exists(deleted) ? try Files.list(deleted) : []
        let marked = try Files.list(base).filter {
            Files.exists(base.appending($0).appending("absorbing.json"))
        }
        return rubbish.map { ".deleted/\($0)" } + marked.map { "\($0)/absorbing.json" }
    }
}

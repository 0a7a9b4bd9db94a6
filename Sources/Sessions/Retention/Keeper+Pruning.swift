internal import Block
internal import FoundationEssentials
public import SessionArchive
internal import SystemPackage

/// What pruning did, or would do.
public struct PruneOutcome: Sendable {
    /// What went, or would go, in this order.
    public internal(set) var removals: [Removal] = []
    /// What was to go and is there still, and why.
    public internal(set) var failures: [SessionsError] = []
    /// What the rules of room can't reach.
    public internal(set) var shortfalls: [Shortfall] = []
}

/// Sessions that go by the rules of `[retention]`.
extension Keeper {
    /// Whose sessions are looked at.
    public enum Scope: Sendable {
        /// Every session in a directory of sessions.
        case all
        /// Those of this device.
        case device(String)
        /// Those of devices that are activated now.
        case activated
    }

    /// Lets sessions go by the rules.
    ///
    /// One that can't go stays, and those that it keeps from going; the others go all the same.
    ///
    /// - Parameters:
    ///   - scope: whose.
    ///   - isDryRun: only says what would be done.
    ///   - report: called with each as soon as it is gone.
    /// - Throws: `busy` while another command deletes; `noSuchDevice` for a device without sessions.
    public func prune(
        _ scope: Scope, isDryRun: Bool = false, control: ArchiveControl = ArchiveControl(),
        report: (Removal) throws -> Void = { _ in }
    ) throws -> PruneOutcome {
        var outcome = PruneOutcome()
        if isDryRun {
            let plan = try plan(scope)
            outcome.removals = plan.removals
            outcome.shortfalls = plan.shortfalls
            return outcome
        }
        try deletion.holding {
            let plan = try plan(scope)
            outcome.shortfalls = plan.shortfalls
            for removal in plan.removals {
                if control.isCancelled() { break }
                do {
                    let session = try catalogue.session(named: removal.session.text)
                    _ = try delete(session, deletion, expected: removal.way, control: control)
                } catch {
                    outcome.failures.append(.from(error))
                    continue
                }
                outcome.removals.append(removal)
                try report(removal)
            }
        }
        return outcome
    }

    /// Whether there is any rule but that of room.
    public var hasRules: Bool { catalogue.configuration.retention.hasRules }

    /// Whether less is free than `min-free` asks for, where sessions of activated devices lie.
    public func isShortOfSpace() -> Bool {
        let bases = Set(((try? lifecycle.registry.activations()) ?? []).map(\.base.path))
        return bases.contains { base in
            guard let space = space(of: base.path) else { return false }
            return space.free < space.minFree
        }
    }

    private func space(of base: FilePath) -> Retention.Space? {
        guard let room = lifecycle.room(in: base) else { return nil }
        return Retention.Space(
            free: room.free, size: room.size,
            minFree: catalogue.configuration.retention.minFree(
                of: room.size, reserve: room.reserve))
    }

    private func plan(_ scope: Scope) throws(SessionsError) -> Retention.Plan {
        let sessions = try catalogue.readable(in: catalogue.baseDirectories())
        let document = try lifecycle.registry.read()
        let chains = try chains(of: scope, sessions, document)
        var spaces: [ByteText: Retention.Space] = [:]
        var candidates: [Retention.Candidate] = []
        for session in sessions where chains.contains(session.record.chain) {
            let base = session.directory.removingLastComponent()
            if spaces[ByteText(base)] == nil { spaces[ByteText(base)] = space(of: base) }
            candidates.append(
                Retention.Candidate(
                    record: session.record, bytes: catalogue.storedBytes(in: session.directory),
                    base: ByteText(base), obstacle: deletion.obstacle(session, document)))
        }
        return Retention(
            candidates: candidates, settings: catalogue.configuration.retention, spaces: spaces
        ).plan()
    }

    private func chains(
        of scope: Scope, _ sessions: [Session], _ document: Registry.Document
    ) throws(SessionsError) -> Set<String> {
        switch scope {
        case .all: return Set(sessions.map(\.record.chain))
        case .device(let device):
            let chains = try Reporter(
                lifecycle: lifecycle, archiver: Archiver(catalogue: catalogue)
            ).sessions(of: device).compactMap { try? $0.get().record.chain }
            guard !chains.isEmpty else { throw .noSuchSession(device) }
            return Set(chains)
        case .activated:
            let present = Set(document.activations.map(\.chain.id))
            let paths = Set(document.activations.map(\.path))
            let earlier = sessions.filter { session in
                session.hasOwnDevice && paths.contains(session.record.device)
            }.map(\.record)
            return present.union(earlier.map(\.chain))
        }
    }
}

extension Deletion {
    /// Why a session can't go whatever the rules say; nil if it can.
    func obstacle(_ session: Session, _ document: Registry.Document) -> String? {
        guard document.isPast(session.record) else { return "it is only just being closed" }
        if let active = document.putBack(through: session.record) {
            return "\(active.path) is put back through it"
        }
        let isHalfway = [
            Layout.restoring(in: session.directory), Layout.absorbing(in: session.directory),
        ].contains { Files.exists($0) }
        return isHalfway ? "a restore of it, or a merge into it, was cut short" : nil
    }
}

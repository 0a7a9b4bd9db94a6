import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import Restore
import SystemPackage

/// `restore` and `verify`: a device back to what it was when a session's store was armed.
///
/// Nothing is written before everything was read and checked, and what is said at the end is what a
/// comparison with the session's baseline came to.
struct Restorer: Sendable {
    let lifecycle: Lifecycle

    var registry: Registry { lifecycle.registry }
    var stack: Stack { lifecycle.stack }
    var catalogue: Catalogue { lifecycle.catalogue }
    var kernel: any Kernel { lifecycle.kernel }

    /// Puts back the union of the session and of every later one in its chain.
    ///
    /// Through an armed device the restore is itself captured, as an offline session.
    ///
    /// - Throws: `busy` while the device is used or a session of it open, `invalidSession`,
    ///   `damagedStore`, `brokenChain` unless lifted, `interrupted`, `restoreFailed`, `notRestored`.
    func restore(
        _ request: RestoreRequest, control: RestoreControl
    ) throws(SessionsError) -> RestoreOutcome {
        let session = try catalogue.session(named: request.session)
        return try asSessionsError {
            guard request.device != nil || session.hasOwnDevice else {
                throw SessionsError.unsuitable(
                    device: request.session,
                    reason: "it is none of this machine's sessions, so the device that it names is "
                        + "no target; name one with --device")
            }
            let device = request.device.map { ByteText($0) } ?? session.record.device
            if let activation = try activation(of: session, request) {
                return try registry.operatingAlone(
                    on: activation.id, pause: { kernel.pause(milliseconds: 100) }
                ) { current in
                    guard let activation = try lifecycle.recover(current) else {
                        throw SessionsError.notActivated(device.text)
                    }
                    try lifecycle.refuseOverlay(activation, "then restore")
                    return try ArmedRestore(
                        restorer: self, activation: activation, session: session,
                        request: request, control: control
                    ).run()
                }
            }
            if request.online {
                throw SessionsError.unsuitable(
                    device: device.text,
                    reason: "only an activated device is restored online, and it is not; "
                        + "activate it first, or restore without --online")
            }
            return try BareRestore(
                restorer: self, device: device, session: session, request: request,
                control: control
            ).run()
        }
    }

    /// Reads everything that restoring the session would write, and checks every checksum.
    ///
    /// - Throws: what a restore throws before it writes.
    func verify(
        _ name: String, control: RestoreControl
    ) throws(SessionsError) -> VerifyOutcome {
        let session = try catalogue.session(named: name)
        return try asSessionsError {
            let activation =
                session.hasOwnDevice
                ? try? activation(of: session, RestoreRequest(session: name)) : nil
            let route = try route(to: session, through: activation ?? nil)
            _ = try lift(route.obstacles, session, RestoreRequest(session: name))
            let plan = try plan(route.members)
            do {
                _ = try plan.verify(control: control)
            } catch let error as RestoreError {
                throw error.failure(session, session.record.device.text)
            }
            return VerifyOutcome(
                session: session, chain: route.members.map(\.record.name), totals: plan.totals)
        }
    }

    /// The activation that a restore has to go through, if the device is activated now.
    func activation(
        of session: Session, _ request: RestoreRequest
    ) throws -> Activation? {
        if let device = request.device { return try lifecycle.finder.find(device) }
        let active = try registry.activations()
        if let same = active.first(where: { $0.chain.id == session.record.chain }) { return same }
        // Activated again with a broken chain: still to be restored through its armed origin.
        guard Files.exists(session.record.device.path) else { return nil }
        return try lifecycle.finder.find(session.record.device.text)
    }

    /// A chain's way to a session, with the sessions themselves.
    struct Route {
        let members: [Session]
        let obstacles: [Chain.Obstacle]
        let conditions: [Chain.Condition]
    }

    /// What restoring the session takes, and what stands against it.
    ///
    /// - Parameter activation: of the device, where it is activated: it knows what was to come last.
    func route(to session: Session, through activation: Activation?) throws -> Route {
        let (chain, sessions) = try catalogue.lineage(of: session)
        let place = activation?.chain
        let isSame = place?.id == session.record.chain
        guard
            let route = chain.route(
                to: session.record.name, next: isSame ? nextIndex(activation) : nil)
        else { throw SessionsError.noSuchSession(session.record.name.text) }
        var obstacles = route.obstacles
        if place != nil, !isSame { obstacles.append(.written) }
        obstacles = obstacles.map { obstacle in
            guard case .undone(let name) = obstacle, let earlier = sessions[name],
                RestoreMarker(of: earlier).document != nil
            else { return obstacle }
            return .unfinished(name)
        }
        return Route(
            members: route.members.compactMap { sessions[$0] }, obstacles: obstacles,
            conditions: route.conditions)
    }

    /// The place after the chain's last session; the open one, which is in the chain, included.
    private func nextIndex(_ activation: Activation?) -> Int? {
        activation.map { $0.chain.index + ($0.session == nil ? 0 : 1) }
    }

    /// Refuses what stands against a restore, unless the request lifts it.
    ///
    /// - Returns: what was lifted.
    func lift(
        _ obstacles: [Chain.Obstacle], _ session: Session, _ request: RestoreRequest
    ) throws(SessionsError) -> [String] {
        for obstacle in obstacles {
            switch obstacle {
            case .open(let name):
                throw .busy(
                    device: session.record.device.text, reason: "session \(name) is open",
                    advice: "unmount the device, then restore")
            case .invalid(let name, let reason):
                throw .invalidSession(
                    session: name.text, reason: reason ?? "its store has missed writes")
            case .gap, .broken, .undone, .unfinished, .midway, .written:
                guard request.acceptsWrites else {
                    throw .brokenChain(
                        device: session.record.device.text, session: session.record.name.text,
                        reason: "\(obstacle)")
                }
            }
        }
        return obstacles.map { "\($0)" }
    }

    /// The union of the chain's sessions, the first of them being the one to go back to.
    func plan(_ members: [Session]) throws -> RestorePlan {
        try RestorePlan(sources: sources(of: members))
    }

    /// What each session kept.
    ///
    /// - Parameter cacheBytes: what the archives share for decompressed blocks; more where they are not read
    ///   in order.
    func sources(of members: [Session], cacheBytes: Int = 8 << 20) throws -> [any ChunkSource] {
        let each = cacheBytes / max(members.count, 1)
        return try members.map { try catalogue.chunkSource(of: $0, cacheBytes: each) }
    }

    /// Reads and checks everything that will be written; nothing is.
    func verified(
        _ plan: RestorePlan, for target: borrowing OwnedDescriptor, _ session: Session,
        _ request: RestoreRequest, _ control: RestoreControl
    ) throws -> VerifiedPlan {
        let size = try target.size()
        guard plan.fits(size) else {
            throw SessionsError.unsuitable(
                device: target.path.string,
                reason: "it has \(size.bytes) bytes, and the session's device had "
                    + "\(plan.originSize.bytes)")
        }
        do {
            return try plan.verify(
                options: RestoreOptions(skipDamaged: request.skipsDamaged && !request.online),
                control: control)
        } catch {
            throw error.failure(session, target.path.string)
        }
    }

    /// Compares a device with what it was when the session's store was armed.
    func proof(of path: FilePath, _ session: Session) throws -> RestoreProof {
        try proof(of: path, session.record.baseline)
    }

    /// The same of a store's, which has no session.
    func proof(of path: FilePath, _ baseline: Fingerprint) throws -> RestoreProof {
        let now = try kernel.fingerprint(path, samples: true)
        let differing = now.differences(from: baseline)
        if now.agrees(with: baseline), differing.isEmpty {
            return .same(places: baseline.places.count + baseline.samples.count)
        }
        return .differs(
            differing.map { ByteExtent(offset: $0.lowerBound, length: UInt64($0.count)) })
    }

    /// What may be said: success only where nothing speaks against it.
    ///
    /// - Throws: `notRestored` where the device isn't what it was and nobody had asked for that.
    func conclude(_ outcome: RestoreOutcome) throws(SessionsError) -> RestoreOutcome {
        guard case .differs(let extents) = outcome.proof, outcome.overridden.isEmpty,
            outcome.report.damage.isEmpty
        else { return outcome }
        let first = extents.first.map { ", at byte \($0.offset) for instance" } ?? ""
        throw .notRestored(
            device: outcome.device.text, session: outcome.session.record.name.text,
            detail: "everything was put back and read again, and yet it differs from what was "
                + "recorded when that mount's store was armed\(first): something has written to it "
                + "that no session has"
                + (outcome.undo.map { "; to undo the restore: dmsnap restore --session \($0)" }
                    ?? ""))
    }
}

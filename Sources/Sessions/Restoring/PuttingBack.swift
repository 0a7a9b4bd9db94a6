import Block
import DeviceMapper
import ExceptionStore
import Restore
import SystemPackage

/// What came of putting a device back by itself.
public enum PutBackOutcome: Sendable {
    /// It isn't due, or somebody uses the device or works on it.
    case notNow
    /// The device shows what it was before this session, and can be mounted; the kernel puts it back.
    case begun(SessionName)
    /// It is back, and is byte for byte what it was before this session.
    case isBack(SessionName)
}

/// A device put back to its base, which its registration knows, by nobody's command.
///
/// At the last unmount it is done as an online restore is, but nobody is kept from mounting the device
/// meanwhile: who does so before the kernel has begun has it as it was left, and it is put back at the end of
/// that use. When everything is back it is compared with what was to be put back, chunk by chunk; only then the
/// base moves on, past sessions that come to nothing.
///
/// After a boot, before anybody can have it, it is written as by any restore. What that overwrites is kept first,
/// as the session that undoes it, so a power cut in the middle leaves a chain as whole as before.
struct PuttingBack {
    /// How often it is put back again where it was found to be something else afterwards.
    private static let mostDifferences = 5

    let restorer: Restorer
    let activation: Activation
    let policy: RestorePolicy

    private var lifecycle: Lifecycle { restorer.lifecycle }
    private var stack: Stack { restorer.stack }
    private var registry: Registry { restorer.registry }
    private var path: ByteText { DeviceFinder.path(of: activation) }
    /// Of the store that is next, or there.
    private var directory: FilePath { activation.armedDirectory(activation.store.number) }

    init(_ lifecycle: Lifecycle, _ activation: Activation, _ policy: RestorePolicy) {
        restorer = Restorer(lifecycle: lifecycle)
        self.activation = activation
        self.policy = policy
    }

    /// The way back, every session of it fit to be used.
    private struct Way {
        let session: Session
        let plan: RestorePlan
    }

    private func way() throws -> Way {
        let members = restorer.catalogue.readable(in: try restorer.catalogue.baseDirectories())
        guard
            let session = members.first(where: {
                $0.record.chain == policy.base.id && $0.record.index == policy.base.index
            })
        else {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "the session that began where it is put back to"
                    + (policy.session.map { ", \($0)," } ?? "") + " is gone")
        }
        let route = try restorer.route(to: session, through: activation)
        _ = try restorer.lift(
            route.obstacles, session, RestoreRequest(session: session.record.name.text))
        let plan = try restorer.plan(route.members)
        if let shortage = try lifecycle.shortage(capturing: plan, through: activation) {
            throw SessionsError.restoreFailed(
                session: session.record.name.text, device: path.text, reason: shortage)
        }
        return Way(session: session, plan: plan)
    }

    /// Of a device that is assembled and that nobody uses.
    func atLastUnmount(_ control: RestoreControl) throws -> PutBackOutcome {
        // udev probes what was exchanged just now.
        guard try stack.isIdle(activation, patience: 20), try stack.isEmpty(activation) else {
            return .notNow
        }
        let target = try restorer.kernel.open(path.path, .readOnly, exclusive: false)
        var control = control
        let isStopped = control.isCancelled
        control.isCancelled = { [stack, activation] in
            // Nobody waits for it with a mount.
            isStopped() || ((try? stack.origin(activation)?.openCount) ?? 2) > 1
        }
        let way = try way()
        let name = way.session.record.name
        let verified = try restorer.verified(
            way.plan, for: target, way.session, RestoreRequest(session: name.text), control)
        if policy.isBegun {
            let isBack = try isBack(way, verified, target, control)
            guard try stack.isEmpty(activation), try stack.origin(activation)?.openCount == 1 else {
                return .notNow
            }
            if isBack {
                try registry.change(activation.id) { $0.restorePolicy?.settle(at: $0.chain) }
                return .isBack(name)
            }
            guard policy.differences < Self.mostDifferences else { throw differs(name) }
            try registry.change(activation.id) { current in
                current.restorePolicy?.isBegun = false
                current.restorePolicy?.differences += 1
            }
        }
        _ = try lifecycle.merger.restore(
            activation, way.session, verified, holding: target, isToBase: true, control)
        return .begun(name)
    }

    private func isBack(
        _ way: Way, _ verified: VerifiedPlan, _ target: borrowing OwnedDescriptor,
        _ control: RestoreControl
    ) throws -> Bool {
        do {
            guard try verified.matches(target, control: control) else { return false }
        } catch {
            throw error.failure(way.session, path.text)
        }
        guard case .same = try restorer.proof(of: path.path, way.session) else { return false }
        return true
    }

    /// Of a device whose last boot's stores are sessions, before it gets its tables.
    ///
    /// - Returns: the activation as it then is. A device that can't be put back is as it was left, or as far as a
    ///   write that failed had come; either way what it was is in its chain.
    /// - Throws: where it must not be assembled now, as what was kept is no session yet.
    func atBoot() throws -> Activation {
        let source = try stack.source(activation).path
        let device = try restorer.kernel.open(source, .readWrite, exclusive: true)
        let way: Way
        let verified: VerifiedPlan
        do {
            way = try self.way()
            verified = try restorer.verified(
                way.plan, for: device, way.session,
                RestoreRequest(session: way.session.record.name.text), RestoreControl())
            try keepPresent(way, verified, device)
        } catch {
            guard !Files.exists(Layout.store(in: directory)) else { throw error }
            return try lifecycle.noteNotPutBack(activation.id, .from(error))
        }
        let failure = write(way, verified, device)
        try device.close()
        let now = try restorer.kernel.look(source, image: activation.image)
        let outcome = try lifecycle.close(
            activation, Ending(end: now, restoreOf: way.session.record.name))
        let next = Store(number: activation.store.number + 1, baseline: now)
        return try registry.change(activation.id) { current throws(SessionsError) in
            try current.rearm(next, after: outcome, merging: nil)
            if let failure {
                current.restorePolicy?.failure = "\(failure)"
            } else {
                current.restorePolicy?.settle(at: current.chain)
            }
        }
    }

    private func write(
        _ way: Way, _ verified: VerifiedPlan, _ device: borrowing OwnedDescriptor
    ) -> SessionsError? {
        do throws(RestoreError) {
            _ = try verified.apply(to: device, readBack: lifecycle.configuration.readsBack)
        } catch {
            return error.failure(way.session, path.text)
        }
        do {
            guard case .same = try restorer.proof(of: device.path, way.session) else {
                return differs(way.session.record.name)
            }
            return nil
        } catch {
            return .from(error)
        }
    }

    /// Keeps what is about to be overwritten in the store that is not under the device yet.
    private func keepPresent(
        _ way: Way, _ verified: VerifiedPlan, _ device: borrowing OwnedDescriptor
    ) throws {
        guard verified.unpackedChunks > 0 else { return }
        guard verified.unpackedChunkSize.bytes == activation.chunkSize else {
            throw SessionsError.internalFault(
                "\(activation.name) has sessions of other chunk sizes")
        }
        let needed = try StoreGeometry.bytesNeeded(
            originSize: ByteCount(way.plan.totals.bytes), chunkSize: verified.unpackedChunkSize)
        let base = activation.base.path
        if let room = lifecycle.room(in: base.path), room.spare < needed {
            throw SessionsError.restoreFailed(
                session: way.session.record.name.text, device: path.text,
                reason:
                    "what it overwrites is kept, which takes \(needed.bytes) bytes, and \(base) has "
                    + "\(room.spare.bytes) to spare; make room there")
        }
        let store = Layout.store(in: directory)
        // Whoever finds less than all of it finds nothing.
        let unfinished = store.appendingSuffix(".new")
        try Files.makeDirectory(directory)
        if Files.exists(unfinished) { try Files.remove(unfinished) }
        let file = try OwnedDescriptor.create(unfinished)
        do throws(RestoreError) {
            try verified.keep(device, in: file)
        } catch {
            try? Files.removeDirectory(directory)
            throw error.failure(way.session, path.text)
        }
        try Files.rename(unfinished, to: store)
        try Files.synchronizeDirectory(directory)
    }

    private func differs(_ session: SessionName) -> SessionsError {
        .notRestored(
            device: path.text, session: session.text,
            detail:
                "everything was put back, and yet it differs from what was to be: something has "
                + "written to it meanwhile that no session has, or it forgets")
    }
}

extension Lifecycle {
    /// Puts a device back to its base, or sees that it is back, where that is due now.
    ///
    /// - Throws: why it can't be; that is kept in the registry, for whoever asks.
    func putBack(
        _ id: String, control: RestoreControl
    ) throws(SessionsError) -> PutBackOutcome {
        try asSessionsError {
            try Files.makeDirectory(registry.layout.runDirectory)
            return try registry.operatingIfFree(on: id) { current in
                guard let activation = try recover(current), case .armed = activation.state,
                    let policy = activation.restorePolicy, policy.isDueAtUnmount,
                    try stack.isLoaded(activation)
                else { return .notNow }
                do {
                    return try PuttingBack(self, activation, policy).atLastUnmount(control)
                } catch {
                    let error = SessionsError.from(error)
                    switch error {
                    case .busy, .interrupted: return .notNow
                    default:
                        try noteNotPutBack(id, error)
                        throw error
                    }
                }
            } ?? .notNow
        }
    }

    /// After a boot, where that is due.
    ///
    /// - Returns: the activation as it then is. A device that can't be put back is assembled all the same.
    func putBackAtBoot(_ activation: Activation) throws -> Activation {
        guard case .armed = activation.state, let policy = activation.restorePolicy,
            policy.isDue || policy.session != nil && policy.base != activation.chain
        else { return activation }
        let now = try PuttingBack(self, activation, policy).atBoot()
        if let failure = now.restorePolicy?.failure { registry.notice("not put back: \(failure)") }
        return now
    }

    @discardableResult
    fileprivate func noteNotPutBack(
        _ id: String, _ error: SessionsError
    ) throws(SessionsError) -> Activation {
        try registry.change(id) { current in
            current.restorePolicy?.isBegun = false
            current.restorePolicy?.differences = 0
            current.restorePolicy?.failure = "\(error)"
        }
    }

    /// Lets the sessions go of the times that nobody is to undo any more.
    ///
    /// - Throws: `busy` while one of them is used, compressed for instance; it is for the monitor to try again.
    func dropRoundTrips(_ id: String) throws(SessionsError) {
        try asSessionsError {
            while let policy = try registry.read()[id: id]?.restorePolicy,
                policy.hasSpareRoundTrips,
                let oldest = policy.roundTrips.first
            {
                try Deletion(lifecycle: self, patience: .zero)
                    .remove(roundTrip: oldest, of: policy.base.id)
                try registry.change(id) { current in
                    if current.restorePolicy?.roundTrips.first == oldest {
                        current.restorePolicy?.roundTrips.removeFirst()
                    }
                }
            }
        }
    }
}

import Block
import DeviceMapper
import FoundationEssentials
import Restore
import SystemPackage

/// A restore through an activated device, under its lock: itself captured.
struct ArmedRestore {
    let restorer: Restorer
    let activation: Activation
    let session: Session
    let request: RestoreRequest
    let control: RestoreControl

    private var lifecycle: Lifecycle { restorer.lifecycle }
    private var path: ByteText { DeviceFinder.path(of: activation) }

    func run() throws -> RestoreOutcome { try prepare().carryOut() }

    /// All that comes before the first write: everything is read and checked, and the device is held.
    func prepare() throws -> ReadyRestore {
        try lifecycle.requireAssembled(activation, "then restore")
        try lifecycle.merger.refuse(activation, "then restore")
        for device in [try restorer.stack.source(activation).path, path.path] {
            try restorer.kernel.refuseReadOnly(device)
        }
        let current = try restorer.closeWhatIsOver(of: activation)
        let route = try restorer.route(to: session, through: current)
        if let latest = request.latest, route.members.last?.record.name != latest {
            throw SessionsError.busy(
                device: path.text,
                reason:
                    "session \(latest) is not the latest any more, since it was used meanwhile",
                advice: "look at `dmsnap sessions \(path)`, then restore the one that you mean")
        }
        let lifted = try restorer.lift(route.obstacles, session, request)
        let target = try open()
        let plan = try restorer.plan(route.members)
        if let shortage = try lifecycle.shortage(capturing: plan, through: current) {
            throw SessionsError.restoreFailed(
                session: session.record.name.text, device: path.text,
                reason: "\(shortage). Deactivated the device can be restored without that")
        }
        let verified = try restorer.verified(plan, for: target, session, request, control)
        return ReadyRestore(
            restore: self, activation: current, route: route, lifted: lifted, target: target,
            verified: verified)
    }

    /// Everything is back, and nobody else could have written.
    fileprivate func noteEnd(
        _ activation: Activation, _ route: Restorer.Route, _ proof: RestoreProof
    ) throws(SessionsError) {
        guard try lifecycle.stack.isEmpty(activation) else {
            try lifecycle.note(.ended, of: session, on: activation)
            return
        }
        // It was back before. What an earlier one had written was all of it, which died before it knew.
        _ = try lifecycle.forgetRestoreOfNothing(lifecycle.registry.activation(activation.id))
        guard case .same = proof, let last = route.members.last, last.record.isOfPartOfRestore,
            last.record.restoreOf == session.record.name
        else { return }
        try restorer.catalogue.changeRecord(in: last.directory) { $0.isPartOfRestore = nil }
    }

    private func open() throws -> OwnedDescriptor {
        do {
            // The kernel's claim keeps everybody from mounting it meanwhile.
            return try restorer.kernel.open(
                path.path, request.dryRun ? .readOnly : .readWrite, exclusive: true)
        } catch {
            guard error.errno == .resourceBusy else { throw error }
            throw SessionsError.busy(
                device: path.text, reason: "something uses it",
                advice: "see lsblk and swapon, stop that, then restore")
        }
    }
}

/// A restore through an activated device of which everything was checked: nobody else can have the device until it
/// is carried out, or let go of.
struct ReadyRestore: ~Copyable {
    fileprivate let restore: ArmedRestore
    fileprivate let activation: Activation
    fileprivate let route: Restorer.Route
    fileprivate let lifted: [String]
    fileprivate let target: OwnedDescriptor
    fileprivate let verified: VerifiedPlan

    consuming func carryOut() throws -> RestoreOutcome {
        let (restorer, session, request) = (restore.restorer, restore.session, restore.request)
        let (lifecycle, path) = (restorer.lifecycle, DeviceFinder.path(of: activation))
        let isOnline = request.online && !request.dryRun && verified.plan.totals.bytes > 0
        var report = verified.report
        var proof = RestoreProof.none
        var back: Lifecycle.WayBack?
        if isOnline {
            report = try lifecycle.merger.restore(
                activation, session, verified, holding: target, restore.control)
        } else if !request.dryRun {
            try lifecycle.note(.begun, of: session, on: activation)
            do {
                report = try verified.apply(
                    to: target, readBack: lifecycle.configuration.readsBack,
                    control: restore.control)
            } catch {
                _ = try? lifecycle.forgetRestoreOfNothing(
                    lifecycle.registry.activation(activation.id))
                throw error.failure(session, path.text)
            }
        }
        // While nobody else can have written to it.
        if !request.dryRun { proof = try restorer.proof(of: path.path, session) }
        if !request.dryRun, !isOnline { try restore.noteEnd(activation, route, proof) }
        let (current, chain) = (activation, route)
        let overridden = lifted
        try target.close()
        if !request.dryRun, !isOnline {
            lifecycle.stack.renewFileSystem(of: current)
            // What was overwritten becomes the session that undoes this.
            back = try lifecycle.wayBack(current)
        }
        return try restorer.conclude(
            RestoreOutcome(
                session: session, device: path, chain: chain.members.map(\.record.name),
                report: report, undo: back?.session, loss: back?.loss, isOnline: isOnline,
                proof: proof, overridden: overridden,
                conditions: chain.conditions.map { "\($0)" }))
    }
}

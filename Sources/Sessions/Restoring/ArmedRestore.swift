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

    func run() throws -> RestoreOutcome {
        try lifecycle.requireAssembled(activation, "then restore")
        try lifecycle.merger.refuse(activation, "then restore")
        try refuseReadOnly()
        try closeWhatIsOver()
        let current = try restorer.registry.activation(activation.id)
        let route = try restorer.route(to: session, through: current)
        let lifted = try restorer.lift(route.obstacles, session, request)
        let target = try open()
        let verified = try restorer.verified(
            route.members, for: target, session, request, control)
        let isOnline = request.online && !request.dryRun && verified.plan.totals.bytes > 0
        var report = verified.report
        var proof = RestoreProof.none
        if isOnline {
            report = try lifecycle.merger.restore(
                current, session, verified, holding: target, control)
        } else if !request.dryRun {
            do {
                report = try verified.apply(
                    to: target, readBack: lifecycle.configuration.readsBack, control: control)
            } catch {
                throw error.failure(session, path.text)
            }
        }
        // While nobody else can have written to it.
        if !request.dryRun { proof = try restorer.proof(of: path.path, session) }
        try target.close()
        return try restorer.conclude(
            RestoreOutcome(
                session: session, device: path, chain: route.members.map(\.record.name),
                report: report, undo: request.dryRun || isOnline ? nil : undo(current),
                isOnline: isOnline, proof: proof, overridden: lifted,
                conditions: route.conditions.map { "\($0)" }))
    }

    /// What was overwritten becomes the session that undoes this.
    private func undo(_ current: Activation) throws -> SessionName? {
        guard
            case .closed(let offline) = try lifecycle.rollOverWhenIdle(
                current, restoreOf: session.record.name)
        else { return nil }
        return offline.record.name
    }

    /// What is open but not in use any more is closed first, and what was written outside a mount
    /// becomes a session: the chain is then whole.
    private func closeWhatIsOver() throws {
        switch try lifecycle.rollOverWhenIdle(activation) {
        case .closed, .dropped, .nothingToDo, .discarded: break
        case .inUse:
            throw SessionsError.busy(
                device: path.text, reason: "it is in use, and a session of it is open",
                advice: "unmount it, then restore")
        case .held:
            throw SessionsError.busy(
                device: path.text, reason: "a program has its snapshot's own device open",
                advice: "`dmsnap status` names it; let go of that, then restore")
        }
        // The kernel's claim below is no obstacle to a program that has it open and may write.
        guard try restorer.stack.isIdle(activation) else {
            throw SessionsError.busy(
                device: path.text, reason: "a program has it open",
                advice: "find it with `fuser \(path)` and end it, then restore")
        }
    }

    /// Device-mapper would write to a disk that was set read-only all the same.
    private func refuseReadOnly() throws {
        let source = try restorer.stack.source(activation)
        for device in [source.path, path.path]
        where try restorer.kernel.blockDevice(device).isReadOnly {
            throw SessionsError.unsuitable(
                device: device.string,
                reason: "it is set read-only; run `blockdev --setrw` on it to have it written")
        }
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

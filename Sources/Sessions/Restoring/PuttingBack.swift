import Block
import DeviceMapper
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

    var lifecycle: Lifecycle { restorer.lifecycle }
    var stack: Stack { restorer.stack }
    var registry: Registry { restorer.registry }
    var path: ByteText { DeviceFinder.path(of: activation) }

    init(_ lifecycle: Lifecycle, _ activation: Activation, _ policy: RestorePolicy) {
        restorer = Restorer(lifecycle: lifecycle)
        self.activation = activation
        self.policy = policy
    }

    /// The way back, every session of it fit to be used.
    struct Way {
        let session: Session
        let plan: RestorePlan
    }

    func way() throws -> Way {
        let members = restorer.catalogue.readable(in: try restorer.catalogue.baseDirectories())
        guard
            let session = members.first(where: { $0.begins(at: policy.base) })
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

    func differs(_ session: SessionName) -> SessionsError {
        .notRestored(
            device: path.text, session: session.text,
            detail:
                "everything was put back, and yet it differs from what was to be: something has "
                + "written to it meanwhile that no session has, or it forgets")
    }
}

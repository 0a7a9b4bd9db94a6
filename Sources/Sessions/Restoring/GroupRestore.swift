import Block
import Restore

/// All devices of a group back to an instant that they have in common.
///
/// Every device is held, and everything is read and checked, before the first write to any. Where one of the writes
/// fails the devices that were put back already go back to where they were; and where a crash comes in between, the
/// same command goes on.
struct GroupRestore {
    let restorer: Restorer
    let goal: GroupGoal
    let request: RestoreRequest
    let control: RestoreControl

    private var registry: Registry { restorer.registry }
    private var catalogue: Catalogue { restorer.catalogue }

    init(
        _ lifecycle: Lifecycle, _ goal: GroupGoal, _ request: RestoreRequest,
        _ control: RestoreControl
    ) {
        // Of which devices some are back and some aren't is no instant to go back to.
        var lifecycle = lifecycle
        lifecycle.notesInstants = false
        restorer = Restorer(lifecycle: lifecycle)
        self.goal = goal
        self.request = request
        self.control = control
    }

    /// - Throws: `noSuchGroup`, `noSuchSession`; `unsuitable` where there is no such instant; what a restore of one
    ///   of the devices throws.
    func run() throws(SessionsError) -> GroupOutcome {
        let wanted: (group: GroupName, instant: GroupInstant?)
        switch goal {
        case .latest(let name): wanted = (name, nil)
        case .session(let session):
            let instant = try instant(of: session)
            wanted = (instant.group, instant)
        }
        let group = try restorer.lifecycle.report(on: wanted.group).group
        return try registry.operatingAlone(
            onAll: group.members, pause: { restorer.kernel.pause(milliseconds: 100) }
        ) { currents in
            try restorer.lifecycle.requireUnchanged(group)
            let devices = try currents.map { try settled($0) }
            let instant =
                if let known = wanted.instant { known } else { try latest(of: group, devices) }
            let steps = try steps(to: instant, group, devices)
            let restores = steps.compactMap(\.restore)
            let untouched = try steps.filter { $0.restore == nil }.map {
                try left(alone: $0.device)
            }
            if let other = untouched.first(where: { !$0.isAsItWas }), !request.acceptsWrites {
                throw SessionsError.brokenChain(
                    device: other.device.text,
                    session: restores.first?.session.record.name.text ?? "of \(group.name)",
                    reason: "something has written to it that no session has")
            }
            let restored = try carryOut(restores[...])
            var lifecycle = restorer.lifecycle
            lifecycle.notesInstants = true
            // Where that fails the monitor comes to it.
            if !request.dryRun { _ = try? lifecycle.noteRest(of: group.members[0]) }
            return GroupOutcome(
                group: group.name, instant: instant, restored: restored, untouched: untouched)
        }
    }

    /// The instant at which a session begins that is named.
    private func instant(of text: String) throws(SessionsError) -> GroupInstant {
        let session: Session
        do {
            session = try catalogue.session(named: text)
        } catch .ambiguousLabel(let label, let names) {
            let all = try names.map { name throws(SessionsError) in
                try catalogue.session(named: name.text)
            }
            guard Set(all.map(\.record.instant)).count == 1 else {
                throw .ambiguousLabel(label, sessions: names)
            }
            session = all[0]
        }
        guard let instant = session.record.instant, session.hasOwnDevice else {
            throw .unsuitable(
                device: "session \(session.record.name)",
                reason:
                    "it begins at no instant that its device had in common with a group; restore it alone "
                    + "(without --group)")
        }
        return instant
    }

    /// Of which everything that is over is a session.
    private func settled(_ current: Activation) throws -> Activation {
        try restorer.closeWhatIsOver(of: restorer.lifecycle.ready(current, "then restore"))
    }

    /// The last instant at which a mount began, or that a checkpoint made; without any, that of the last write. The
    /// chains' places only grow.
    private func latest(of group: DeviceGroup, _ devices: [Activation]) throws -> GroupInstant {
        let chains = Set(devices.map(\.chain.id))
        let records = catalogue.readable(in: try catalogue.baseDirectories())
            .filter { $0.hasOwnDevice && $0.record.restoreOf == nil }.map(\.record)
            .filter { record in
                record.instant.map {
                    $0.group == group.name && Set($0.places.map(\.chain.id)) == chains
                } ?? false
            }
        // What a restore that died has written is offline, too.
        let used = records.filter { $0.kind != .offline }
        let latest = (used.isEmpty ? records : used).compactMap(\.instant).max { one, other in
            one.places.map(\.chain.index).reduce(0, +)
                < other.places.map(\.chain.index).reduce(0, +)
        }
        guard let latest else {
            throw SessionsError.unsuitable(
                device: group.name.text,
                reason:
                    "no session begins at an instant that all of its devices have in common; one does after a "
                    + "time that none of them was in use, and after `dmsnap checkpoint \(group.name)`"
            )
        }
        return latest
    }

    private struct Step {
        let device: Activation
        /// Nil where nothing was written since the instant.
        let restore: ArmedRestore?
    }

    private func steps(
        to instant: GroupInstant, _ group: DeviceGroup, _ devices: [Activation]
    ) throws -> [Step] {
        let sessions = catalogue.readable(in: try catalogue.baseDirectories())
        guard instant.places.count == devices.count else {
            throw SessionsError.unsuitable(
                device: group.name.text,
                reason: "it had other devices at that instant: "
                    + instant.places.map(\.device.description).joined(separator: ", "))
        }
        return try devices.map { device in
            let place =
                instant.places.first { $0.chain.id == device.chain.id }
                ?? instant.places.first { $0.device == device.path }
            guard let place else {
                throw SessionsError.unsuitable(
                    device: device.path.text, reason: "it was not in \(group.name) at that instant")
            }
            guard let session = sessions.first(where: { $0.begins(at: place.chain) }) else {
                guard device.chain == place.chain else {
                    throw SessionsError.unsuitable(
                        device: device.path.text,
                        reason: "its session that began at that instant is gone")
                }
                return Step(device: device, restore: nil)
            }
            var request = request
            request.session = session.record.name.text
            return Step(
                device: device,
                restore: ArmedRestore(
                    restorer: restorer, activation: device, session: session, request: request,
                    control: control))
        }
    }

    private func left(alone device: Activation) throws -> GroupOutcome.Untouched {
        let path = DeviceFinder.path(of: device)
        let isSame =
            if case .same = try restorer.proof(of: path.path, device.store.baseline) { true } else {
                false
            }
        return GroupOutcome.Untouched(
            device: path, isAsItWas: isSame)
    }

    /// Each one is held and checked before the next; when all are, they are written, the last one first.
    private func carryOut(_ left: ArraySlice<ArmedRestore>) throws -> [RestoreOutcome] {
        guard let first = left.first else { return [] }
        let ready = try first.prepare()
        let later = try carryOut(left.dropFirst())
        do {
            return [try ready.carryOut()] + later
        } catch {
            guard !request.dryRun else { throw error }
            throw undone(left, after: error)
        }
    }

    /// Puts the devices back to where they were before this began.
    private func undone(_ restores: ArraySlice<ArmedRestore>, after error: any Error)
        -> SessionsError
    {
        var undo = Undo()
        for one in restores {
            undo.add("undoing the restore of \(DeviceFinder.path(of: one.activation))") {
                let present = try registry.activation(one.activation.id)
                guard let found = try restorer.lifecycle.recover(present) else { return }
                let now = try restorer.closeWhatIsOver(of: found)
                guard now.chain != one.activation.chain else { return }
                let sessions = catalogue.readable(in: try catalogue.baseDirectories())
                guard
                    let session = sessions.first(where: { $0.begins(at: one.activation.chain) })
                else {
                    throw SessionsError.noSuchSession("what it overwrote")
                }
                // Nobody's signal ends this halfway.
                let outcome = try ArmedRestore(
                    restorer: restorer, activation: now, session: session,
                    request: RestoreRequest(session: session.record.name.text),
                    control: RestoreControl()
                ).run()
                guard outcome.isProven else {
                    throw SessionsError.notRestored(
                        device: outcome.device.text, session: session.record.name.text,
                        detail: "it could not be compared")
                }
            }
        }
        return undo.run(after: error)
    }
}

import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What assembling an activated device did.
public enum AssemblyOutcome: Sendable {
    /// Origin and store are together again; what the last boot left open is this session.
    case assembled(interrupted: Session?)
    /// Its tables are loaded.
    case alreadyAssembled
    /// The device, the image, or the file system that holds its store is not there yet.
    case notThere
    /// It never was activated to the end, or was being deactivated: that was completed.
    case forgotten
}

/// `assemble`: after a reboot or a crash, origin and store together again.
extension Lifecycle {
    /// The active ones whose origin isn't there, is without a table (a crash came while it was made),
    /// or lies over a device that is gone.
    func missing() throws(SessionsError) -> [Activation] {
        var missing: [Activation] = []
        for activation in try registry.activations() where activation.state.isActive {
            if try stack.condition(activation) != .live { missing.append(activation) }
        }
        return missing
    }

    /// Puts one activated device together again, if its parts are there.
    ///
    /// What the last boot captured becomes a session, marked interrupted if it was open; a new store
    /// is armed. The old one is never attached again: nothing that a crash left in it can come back
    /// to life.
    func assemble(_ id: String) throws(SessionsError) -> AssemblyOutcome {
        try registry.operating(on: id) { current in
            switch current.state {
            case .activating:
                // Nobody was told that it is armed; but what was made of its store is to go, too.
                guard finder.hasStore(current) else { return .notThere }
                _ = try takeDown(current)
                return .forgotten
            case .deactivating:
                // What was captured becomes a session, and its end is read from the device.
                guard finder.hasStore(current),
                    try finder.locate(current) != nil
                else { return .notThere }
                _ = try takeDown(current)
                return .forgotten
            case .armed, .open, .exchanging, .merging:
                return try assemble(current)
            case .overlay, .discarding:
                return try assembleOverlay(current)
            case .uncovering:
                guard finder.hasStore(current), try finder.locate(current) != nil else {
                    return .notThere
                }
                return try finishUncovering(current) == nil ? .forgotten : .alreadyAssembled
            }
        }
    }

    private func assemble(_ current: Activation) throws -> AssemblyOutcome {
        var current = current
        switch try stack.condition(current) {
        case .absent: break
        case .live:
            guard let recovered = try recover(current), try merger.takeDownFailed(recovered) else {
                return .alreadyAssembled
            }
            current = recovered
        case .dead(let reason):
            guard let parted = try partFromDead(current, reason) else { return .notThere }
            current = parted
        }
        guard let located = try findParts(of: current) else { return .notThere }
        let (closed, interrupted) = try closeLastBoot(located)
        let armed = try putBackAtBoot(closed)
        try armAgain(armed)
        // Where that fails the monitor comes to it.
        _ = try? noteRest(of: armed.id)
        try? dropRoundTrips(armed.id)
        // The raw device was kept from everybody; now its rules may give it its links.
        try kernel.trigger(stack.source(armed).number)
        return .assembled(interrupted: interrupted)
    }

    /// Finds the device and the sessions' directory again, wherever they are now, and takes away what is left
    /// of tables.
    ///
    /// - Returns: nil if they aren't there.
    func findParts(of current: Activation) throws -> Activation? {
        // Moved to another file system, the sessions' directory still has the store.
        guard finder.hasStore(current),
            let found = try finder.locate(current)
        else { return nil }
        try stack.removeTables(current)
        let base = finder.base(current.base.path.path)
        let located = try registry.change(current.id) { current in
            current.path = ByteText(found.path)
            current.identity = found.identity
            current.base = base
        }
        if located.kind == .image { try stack.attachImage(located) }
        try refuseResized(located)
        return located
    }

    /// The disk was pulled out, or somebody's `dmsetup remove --force` put errors in its place: what
    /// is left of the tables is taken away, as soon as nobody uses it.
    ///
    /// - Returns: nil as long as the device itself isn't back.
    private func partFromDead(_ current: Activation, _ reason: String) throws -> Activation? {
        guard try finder.locate(current) != nil else { return nil }
        guard try stack.isIdle(current) else {
            throw SessionsError.busy(
                device: DeviceFinder.path(of: current).text,
                reason: "\(reason), and what was over it is still in use",
                advice: "unmount it there, then run `dmsnap assemble \(current.path)`")
        }
        let source = try? stack.source(current)
        try stack.removeOrigin(current)
        let noted = try noteHeld(current)
        try stack.removeTables(noted)
        try stack.detach(noted.store, in: noted.directory)
        if let source { try stack.detachImage(noted, source: source.path) }
        return noted
    }

    /// What has grown would have a tail that nobody captures; what has shrunk can't be loaded.
    private func refuseResized(_ activation: Activation) throws {
        let device = try kernel.blockDevice(stack.source(activation).path)
        guard device.size == activation.size else {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "its size is \(device.size.bytes) bytes and was \(activation.size.bytes) "
                    + "when it was activated; put that back, or deactivate \(activation.name)")
        }
    }

    private func armAgain(_ activation: Activation) throws {
        var undo = Undo()
        do {
            let directory = activation.armedDirectory(activation.store.number)
            // The store itself stays: the registry has it, and the next try begins with closing it.
            undo.add("detaching the store") { try stack.detachStore(in: directory) }
            var loop: DeviceNumber?
            if activation.store.isAbsent {
                try Files.makeDirectory(directory)
            } else {
                loop = try makeStore(of: activation)
            }
            let merging = try merger.attachAgain(activation, undo: &undo)
            undo.add("removing the tables") { try stack.removeTables(activation) }
            try stack.loadTables(
                activation, source: stack.source(activation).number, store: loop,
                merging: merging)
            if merging != nil {
                try registry.change(activation.id) { current throws(SessionsError) in
                    try current.runMerge()
                }
            }
        } catch {
            throw undo.run(after: error)
        }
    }
}

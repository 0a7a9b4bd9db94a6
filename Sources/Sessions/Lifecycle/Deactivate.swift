import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// `deactivate`: from an armed device back to a plain one, and its sessions stay.
extension Lifecycle {
    /// Takes an activated device's tables down. What was captured and has no session yet becomes
    /// one.
    ///
    /// - Parameter device: any name of the device, or the image file.
    /// - Returns: the session that this closed, if it closed one.
    /// - Throws: `notActivated`, `busy` while it is mounted or otherwise used, `missingDirectory` where
    ///   what it captured isn't there; then nothing was done.
    func deactivate(_ device: String) throws(SessionsError) -> Session? {
        guard let found = try finder.find(device) else { throw .notActivated(device) }
        return try deactivate(id: found.id)
    }

    func deactivate(id: String) throws(SessionsError) -> Session? {
        try registry.operating(on: id) { current in
            guard let activation = try settled(current) else { return nil }
            if activation.state.overlay != nil {
                try uncover(activation)
                return nil
            }
            try refuseOpen(activation)
            try refuseViewed(activation)
            try refuseUnwritable(activation)
            try merger.refuseToLose(activation)
            let doubt = try lookBack(activation)
            let leaving = try registry.change(activation.id) { current throws(SessionsError) in
                try current.beginDeactivation()
            }
            for _ in 0..<50 {
                do {
                    return try takeDown(leaving, doubt: doubt)
                } catch {
                    let cause = SessionsError.from(error)
                    guard cause.exitStatus == .busy, try stack.origin(activation) != nil else {
                        throw cause
                    }
                    // udev probes what was closed just now; a use ends it at once.
                    if try !stack.isIdle(activation) { break }
                }
            }
            try registry.change(activation.id) { current throws(SessionsError) in
                try current.abandonDeactivation()
            }
            try refuseOpen(activation)
            throw busy(activation, "it has been opened just now")
        }
    }

    /// The activation in a state that it can be taken down from.
    private func settled(_ current: Activation) throws -> Activation? {
        guard let activation = try recover(current) else { return nil }
        guard case .exchanging(_, let next) = activation.state else { return activation }
        // A boot came into the exchange, and nothing was assembled since.
        try finder.requireBase(activation)
        return try closeHalfExchanged(activation, next)
    }

    /// After a boot, with nothing assembled since, nobody has looked yet whether something wrote to the
    /// device meanwhile. What is seen is in the registry then.
    ///
    /// - Returns: what nobody can know.
    private func lookBack(_ activation: Activation) throws -> String? {
        guard try isCutShort(activation), let path = bareSource(activation) else { return nil }
        try kernel.synchronize(path)
        var seen = try compareWithBaseline(
            activation, kernel.fingerprint(path, samples: true))
        return try lookAtFileSystem(&seen, on: path)
    }

    /// Whether the machine stopped while the store captured: there are no tables, and nobody has put down
    /// what the kernel said of it at its end.
    private func isCutShort(_ activation: Activation) throws -> Bool {
        if case .activating = activation.state { return false }
        let store = activation.store
        return try stack.origin(activation) == nil && store.held == nil
            && stack.snapshot(activation, store: store.number) == nil
    }

    func busy(
        _ activation: Activation, _ reason: String, _ verb: String = "deactivate"
    ) -> SessionsError {
        let path = DeviceFinder.path(of: activation)
        return .busy(
            device: path.text, reason: reason,
            advice: "end that (`umount \(path)`), then \(verb)")
    }

    func refuseOpen(_ activation: Activation, _ verb: String = "deactivate") throws {
        if try stack.isIdle(activation) { return }
        let number = try stack.origin(activation)?.number
        if let number, let use = try stack.uses(of: number).first {
            throw busy(activation, use.description, verb)
        }
        throw busy(activation, "a program has it open", verb)
    }

    /// Without its origin nobody would keep what a view shows.
    private func refuseViewed(_ activation: Activation) throws {
        try stack.removeAbandonedViews(of: activation.id)
        guard let (use, advice) = try stack.viewInUse(activation) else { return }
        throw SessionsError.busy(
            device: DeviceFinder.path(of: activation).text, reason: use,
            advice: "\(advice), then deactivate")
    }

    /// Forgotten now, an activation whose sessions' file system isn't there, or is read-only, would
    /// leave its session open for ever, and in no chain; so this comes before the origin goes.
    private func refuseUnwritable(_ activation: Activation) throws {
        try finder.requireBase(activation)
        let base = activation.base.path
        do {
            try Files.requireWritable(base.path)
        } catch {
            throw SessionsError.busy(
                device: DeviceFinder.path(of: activation).text,
                reason: "what it captured can't be put down in \(base): \(error.errno)",
                advice: "make that writable (`mount -o remount,rw`), then deactivate")
        }
    }

    /// The origin goes first: the kernel refuses that while anybody has it open, and without it
    /// nothing is written that a snapshot would have to see. Can be done again after a crash.
    ///
    /// - Parameter doubt: what nobody can know of it.
    /// - Throws: `missingDirectory` before anything is done, where the sessions' directory isn't there.
    func takeDown(_ activation: Activation, doubt: String? = nil) throws -> Session? {
        switch activation.state {
        case .activating, .deactivating: try finder.requireBase(activation)
        case .armed, .open, .exchanging, .merging: break
        case .overlay, .discarding, .uncovering:
            throw SessionsError.internalFault("\(activation.name) is under an overlay")
        }
        let isInterrupted = try isCutShort(activation)
        let source =
            try stack.loadedSource(activation) == nil
            ? nil : try? stack.source(activation)
        // Whatever writes to it when the origin is gone is to show in the file.
        let file = activation.image.flatMap { kernel.stamp(of: $0) }
        try stack.removeOrigin(activation)
        let activation = try noteHeld(activation)
        try stack.removeTables(activation)
        let end = try (source?.path ?? bareSource(activation)).map { path throws in
            // What a power cut may take back is no end.
            try kernel.synchronize(path)
            var end = try kernel.fingerprint(path, samples: true)
            end.file = file
            return end
        }
        let closed = try closeLast(
            activation, Ending(end: end, isInterrupted: isInterrupted, doubt: doubt))
        try stack.detachImage(activation, source: source?.path)
        try merger.discardStore(activation)
        try registry.forget(activation.id)
        return closed
    }

    /// With the origin gone the snapshot's last word is final, and nobody else has it: it is written
    /// down before the snapshot goes.
    func noteHeld(_ activation: Activation) throws -> Activation {
        let store = activation.store
        guard let status = try stack.status(activation, store: store.number) else {
            return activation
        }
        let held = status.chunksTaken(chunk: try stack.chunkSize(activation).sectors)
        return try registry.change(activation.id) { current in
            if held == nil {
                current.store.invalidate(Self.dropped)
            } else {
                current.store.held = held
            }
        }
    }

    private func closeLast(_ activation: Activation, _ ending: Ending) throws -> Session? {
        let directory = activation.armedDirectory(activation.store.number)
        if case .activating = activation.state {
            // Nobody was told of one: what was written over it is nobody's.
            if activation.restoreAt != nil {
                try stack.detach(activation.store, in: directory)
                try Files.removeDirectory(directory)
                return nil
            }
            // Of an activation that never came to be: it isn't there yet, or is empty.
            guard Files.exists(Layout.store(in: directory)) else {
                try Files.removeDirectory(directory)
                return nil
            }
        }
        guard case .session(let session) = try close(activation, ending) else { return nil }
        return session
    }

    /// Where the device can be looked at without its origin: after a crash or a reboot an image has
    /// no loop device any more, and a disk may have another name.
    private func bareSource(_ activation: Activation) -> FilePath? {
        if activation.kind == .image, let loop = try? stack.source(activation) { return loop.path }
        return (try? finder.locate(activation))?.path
    }
}

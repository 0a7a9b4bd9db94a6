import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// `deactivate` of a device under an overlay: only one that holds nothing, since with the overlay what was
/// written over the device would go.
extension Lifecycle {
    /// - Throws: `busy` while somebody uses it, or something was written over it.
    func uncover(_ activation: Activation) throws {
        try refuseOpen(activation)
        try remakeMemory(of: activation)
        try finder.requireBase(activation)
        if activation.state.overlay?.isCommitting == true {
            throw halfCommitted(activation, "deactivate")
        }
        guard try stack.isLoaded(activation) ? holdsNothing(activation) : isEmptyFile(activation)
        else { throw written(activation) }
        let leaving = try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginUncovering()
        }
        for _ in 0..<50 {
            do {
                guard try finishUncovering(leaving) == nil else { throw written(activation) }
                return
            } catch {
                let cause = SessionsError.from(error)
                guard cause.exitStatus == .busy, try stack.origin(activation) != nil,
                    case .uncovering = try registry.activation(activation.id).state
                else { throw cause }
                // udev probes what was closed just now; a use ends it at once.
                if try !stack.isIdle(activation) { break }
            }
        }
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.abandonUncovering()
        }
        try refuseOpen(activation)
        throw busy(activation, "it has been opened just now")
    }

    private func written(_ activation: Activation) -> SessionsError {
        .busy(
            device: DeviceFinder.path(of: activation).text,
            reason: "what was written over it would be lost",
            advice:
                "put it on the device with `dmsnap commit \(activation.path)`, or give it up with "
                + "`dmsnap discard \(activation.path)`, then deactivate")
    }

    /// The table goes first: the kernel refuses that while anybody has it open, and without it nothing is
    /// written any more. Can be done again after a crash.
    ///
    /// - Returns: nil if it is deactivated; the activation where something had been written after all, and it is
    ///   under its overlay again.
    func finishUncovering(_ activation: Activation) throws -> Activation? {
        let source =
            try stack.loadedSource(activation) == nil
            ? nil : try? stack.source(activation)
        try stack.removeOrigin(activation)
        let directory = activation.armedDirectory(activation.store.number)
        if try !isEmptyFile(activation) {
            let now = try registry.change(activation.id) { current throws(SessionsError) in
                try current.abandonUncovering()
            }
            try stack.detach(activation.store, in: directory)
            guard case .assembled = try assembleOverlay(now, .kept) else { return now }
            return try registry.activation(activation.id)
        }
        try stack.detach(activation.store, in: directory)
        try Files.removeDirectory(directory)
        try stack.detachImage(activation, source: source?.path)
        try registry.forget(activation.id)
        return nil
    }

    /// Whether a store holds nothing, as its file says. No table may use it.
    private func isEmptyFile(_ activation: Activation) throws -> Bool {
        let directory = activation.armedDirectory(activation.store.number)
        // It goes with its directory, when nothing is in it.
        guard Files.exists(Layout.store(in: directory)) else {
            // A boot has taken what was in memory, as its user knows.
            if activation.isInMemory == true { return true }
            if case .uncovering = activation.state { return true }
            return false
        }
        return try catalogue.closedStore(
            in: directory, originSize: activation.size, chunkSize: activation.chunkSize,
            session: activation.name.text
        ).exceptions.count == 0
    }
}

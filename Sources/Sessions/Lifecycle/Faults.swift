import Block
import DeviceMapper
import SystemPackage

/// What is seen to have gone wrong with a device that is activated, written down as soon as it is.
extension Lifecycle {
    /// Keeps, on disk, that the present store has missed writes or is gone: its own header may not say
    /// so after a reboot.
    @discardableResult
    func invalidate(
        _ activation: Activation, _ reason: String
    ) throws(SessionsError) -> Activation {
        try noteLoss(activation.id) { current in
            // Another may have taken over since.
            current.store.number == activation.store.number ? reason : nil
        }
    }

    /// Writes down, in the registry first, why the present store is lost, if it is; of an open session
    /// then its record says so, too, if it can: its file system may be the very thing that is full.
    private func noteLoss(
        _ id: String, _ reason: (Activation) throws(SessionsError) -> String?
    ) throws(SessionsError) -> Activation {
        var isNew = false
        let changed = try registry.change(id) { current throws(SessionsError) in
            guard let reason = try reason(current) else { return }
            current.store.invalidate(reason)
            isNew = true
        }
        guard isNew, changed.session != nil else { return changed }
        _ = try? catalogue.changeRecord(in: changed.directory) { record in
            record.state = .invalid
            record.loss = changed.store.loss
        }
        return changed
    }

    /// Why the store that captures isn't where it should be; nil if it is, or is known to be lost.
    func storeFault(_ activation: Activation) -> String? {
        switch activation.state {
        case .armed, .open, .merging: break
        // Its directory goes before the registry says so.
        case .activating, .exchanging, .deactivating: return nil
        case .overlay, .discarding, .uncovering: return nil
        }
        guard activation.store.loss == nil else { return nil }
        return stack.storeFault(activation.store, in: activation.directory)
    }

    /// Keeps that a store is lost, if it is: a session may just have been opened, which renames its
    /// directory under the registry's lock, or the process that did may have died right then.
    func markLost(_ id: String) throws(SessionsError) -> String? {
        guard try registry.read()[id: id] != nil else { return nil }
        var isLost = false
        let changed = try noteLoss(id) { current throws(SessionsError) in
            guard let fault = storeFault(current), try namedWithoutRegistry(current) == nil
            else { return nil }
            isLost = true
            return fault
        }
        return isLost ? changed.store.loss : nil
    }

    /// Keeps that a store is lost whose snapshot somebody has taken away, under the origin (`dmsetup
    /// remove_all` does so, also under a mount).
    ///
    /// - Returns: whether that is so, and is new; not while somebody works on the activation.
    func markTakenAway(_ id: String) throws(SessionsError) -> Bool {
        try asSessionsError {
            try registry.operatingIfFree(on: id) { activation in
                switch activation.state {
                case .armed, .open: break
                case .activating, .exchanging, .merging, .deactivating: return false
                case .overlay, .discarding, .uncovering: return false
                }
                guard activation.store.loss == nil, try stack.isLoaded(activation),
                    try stack.snapshot(activation, store: activation.store.number) == nil
                else { return false }
                try invalidate(activation, Self.takenAway)
                return true
            } ?? false
        }
    }

    /// Keeps, on disk, when the file system under an open session says that it was checked: after a
    /// crash it has to say the same still.
    func noteCheck(_ activation: Activation) throws(SessionsError) {
        let origin = try FilePath(MapperNames.origin(activation).path)
        // Where that can't be read nothing is known, and the session goes on.
        guard case .open = activation.state, let check = try? kernel.lastCheck(of: origin),
            check != activation.store.lastCheck
        else { return }
        try registry.change(activation.id) { current in
            guard current.state == activation.state else { return }
            current.store.lastCheck = check
        }
    }

    /// Keeps, on disk, that somebody wrote to the device past its origin: sessions before can't be
    /// restored through that.
    func breach(_ id: String, _ what: String) throws(SessionsError) {
        guard let activation = try registry.read()[id: id] else { return }
        let isEmpty: Bool
        if case .armed = activation.state {
            isEmpty = try stack.isEmpty(activation)
        } else {
            isEmpty = false
        }
        let now = isEmpty ? try? present(activation) : nil
        if isEmpty { try catalogue.forgetEnd(before: activation) }
        try registry.change(id) { current in
            current.breach(
                what, isEmpty: isEmpty && current.state == activation.state, now: now ?? nil)
        }
    }
}

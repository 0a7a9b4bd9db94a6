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
        let number = activation.store.number
        let changed = try registry.change(activation.id) { current in
            // Another may have taken over since.
            if current.store.number == number { current.store.invalidate(reason) }
        }
        if changed.store.number == number { noteLoss(changed) }
        return changed
    }

    /// Says of an open session that it is lost. The registry has it; the sessions' file system may be the
    /// very thing that is full.
    private func noteLoss(_ activation: Activation) {
        guard activation.session != nil,
            var record = try? catalogue.session(at: activation.directory).record
        else { return }
        record.state = .invalid
        record.loss = activation.store.loss
        try? catalogue.write(record, in: activation.directory)
    }

    /// Why the store that captures isn't where it should be; nil if it is, or is known to be lost.
    func storeFault(_ activation: Activation) -> String? {
        switch activation.state {
        case .armed, .open, .merging: break
        // Its directory goes before the registry says so.
        case .activating, .exchanging, .deactivating: return nil
        }
        guard activation.store.loss == nil else { return nil }
        return stack.storeFault(activation.store, in: activation.directory)
    }

    /// Keeps that a store is lost, if it is: a session may just have been opened, which renames its
    /// directory under the registry's lock, or the process that did may have died right then.
    func markLost(_ id: String) throws(SessionsError) -> String? {
        let lost = try registry.update { document throws(SessionsError) -> Activation? in
            guard var current = document[id: id], let fault = storeFault(current),
                try namedWithoutRegistry(current) == nil
            else { return nil }
            current.store.invalidate(fault)
            document[id: id] = current
            return current
        }
        guard let lost else { return nil }
        noteLoss(lost)
        return lost.store.loss
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
        let now = isEmpty ? try? rawFingerprint(activation) : nil
        if isEmpty { try catalogue.forgetEnd(before: activation.chain) }
        try registry.change(id) { current in
            current.breach(
                what, isEmpty: isEmpty && current.state == activation.state, now: now ?? nil)
        }
    }
}

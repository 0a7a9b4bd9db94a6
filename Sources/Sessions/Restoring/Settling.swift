import Block
import DeviceMapper
import SystemPackage

/// What has to come before a restore: a device's sessions as they are when nothing is halfway.
extension Restorer {
    /// What `restore DEVICE` asks for: what is over and not closed yet, or was written outside a mount,
    /// becomes a session first.
    ///
    /// - Throws: `noSuchSession`; `busy` while the device is in use.
    func latestRequest(
        for device: String, _ reporter: Reporter
    ) throws(SessionsError) -> RestoreRequest {
        try settle(device)
        let latest = try reporter.latestSession(of: device)
        return request(for: latest.record.name, in: try catalogue.lineage(of: latest).chain)
    }

    /// What `reset DEVICE` asks for: back to before its last mount; nil where it was put back since.
    ///
    /// - Throws: `noSuchSession`; `busy` while the device is in use.
    func resetRequest(
        for device: String, _ reporter: Reporter
    ) throws(SessionsError) -> RestoreRequest? {
        try settle(device)
        let latest = try reporter.latestSession(of: device)
        let present = try catalogue.lineage(of: latest).chain
        if let name = present.beforeLastMount { return request(for: name, in: present) }
        if present.members.contains(where: \.isOfRestore) { return nil }
        // Of an earlier chain, which no restore leads through: that is for the restore to say.
        let earlier = try reporter.sessions(of: device).compactMap { try? $0.get() }
            .last { $0.hasOwnDevice && $0.record.kind != .offline }
        guard let earlier else { return nil }
        return request(for: earlier.record.name, in: try catalogue.lineage(of: earlier).chain)
    }

    private func request(for session: SessionName, in chain: Chain) -> RestoreRequest {
        var request = RestoreRequest(session: session.text)
        request.latest = chain.members.last?.name
        return request
    }

    private func settle(_ device: String) throws(SessionsError) {
        if let found = (try? lifecycle.finder.find(device)) ?? nil, found.state.overlay == nil {
            try registry.operatingAlone(
                on: found.id, pause: { kernel.pause(milliseconds: 100) }
            ) { current in
                guard let activation = try lifecycle.recover(current), activation.merge == nil,
                    try stack.isLoaded(activation)
                else { return }
                _ = try closeWhatIsOver(of: activation)
            }
        }
    }

    /// What is open but not in use any more is closed, and what was written outside a mount becomes a session: the
    /// chain is then whole.
    ///
    /// - Throws: `busy` while it is in use.
    func closeWhatIsOver(of activation: Activation) throws -> Activation {
        let path = DeviceFinder.path(of: activation)
        for _ in 0..<10 {
            try closeOnce(activation, path)
            let now = try registry.activation(activation.id)
            // The rule of a mount that is over may come only now, and name the new store.
            if now.session == nil { return now }
        }
        throw SessionsError.busy(
            device: path.text, reason: "sessions of it are opened again and again",
            advice: "see what mounts it, then restore")
    }

    private func closeOnce(_ activation: Activation, _ path: ByteText) throws {
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
        // The kernel's claim is no obstacle to a program that has it open and may write.
        guard try stack.isIdle(activation) else {
            throw SessionsError.busy(
                device: path.text, reason: "a program has it open",
                advice: "find it with `fuser \(path)` and end it, then restore")
        }
    }
}

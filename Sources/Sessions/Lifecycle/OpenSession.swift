import Block
import DeviceMapper
import FoundationEssentials
import SystemPackage

/// What opening a session did.
public enum OpeningOutcome: Sendable {
    /// The session was made.
    case opened(SessionName)
    /// There is one for this mount.
    case alreadyOpen(SessionName)
    /// The store is being exchanged; the monitor tries again.
    case later
    /// Nobody uses the device, and nothing was written: what was told of is over.
    case over
}

/// A mount: the store that captures gets a session's name. No table is touched.
extension Lifecycle {
    /// Opens the session of a mounted device; called by the udev rule of the `opened` event.
    ///
    /// - Parameter device: a device-mapper name, escaped as udev has it in `DM_NAME`; or any name of
    ///   the device.
    func openSession(_ device: String) throws(SessionsError) -> OpeningOutcome {
        let mapped = ByteText("/dev/mapper/\(device)")
        var activation = try registry.activations().first { DeviceFinder.path(of: $0) == mapped }
        if activation == nil { activation = try finder.find(device) }
        guard let activation else { throw .notActivated(device) }
        let origin = try stack.origin(activation)
        // udev may come to it when the store after that mount's has taken over.
        if case .armed = activation.state, origin?.openCount == 0,
            try stack.isEmpty(activation)
        {
            return .over
        }
        let use = try origin.map { info throws(SessionsError) in
            try stack.uses(of: info.number).first
        }
        return try openSession(activation.id, use: use ?? nil)
    }

    /// - Parameters:
    ///   - kind: what opens it.
    ///   - label: what it is called from its beginning.
    func openSession(
        _ id: String, use: DeviceUse?, kind: SessionRecord.Kind = .mount,
        label: SessionLabel? = nil
    ) throws(SessionsError) -> OpeningOutcome {
        try registry.update { document throws(SessionsError) in
            guard var activation = document[id: id] else { throw .notActivated(id) }
            switch activation.state {
            case .open(_, let session): return .alreadyOpen(session)
            case .merging(let capture, _):
                if let session = capture.session { return .alreadyOpen(session) }
            case .armed: break
            case .activating, .exchanging, .deactivating: return .later
            // What is written to one is no session.
            case .overlay, .discarding, .uncovering: return .later
            }
            // A rule's process that was killed right after the rename: that session is this mount's.
            let named = try namedWithoutRegistry(activation)?.record.name
            let name = if let named { named } else { try makeSession(activation, use, kind, label) }
            try activation.open(name)
            document[id: id] = activation
            return .opened(name)
        }
    }

    private func makeSession(
        _ activation: Activation, _ use: DeviceUse?, _ kind: SessionRecord.Kind,
        _ label: SessionLabel?
    ) throws(SessionsError) -> SessionName {
        try finder.requireBase(activation)
        let armed = activation.armedDirectory(activation.store.number)
        let session = try catalogue.name(armed, in: activation) { name in
            var record = catalogue.newRecord(activation, name: name, kind: kind)
            record.label = label
            if case .mount(let mount) = use {
                record.mountPoint = mount.target
                record.fileSystem = mount.type
            }
            return record
        }
        return session.record.name
    }
}

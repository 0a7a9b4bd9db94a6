internal import Block
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
}

/// A mount: the store that captures gets a session's name. No table is touched.
extension SnapshotService {
    /// Opens the session of a mounted device; called by the udev rule of the `opened` event.
    ///
    /// - Parameter device: a device-mapper name, escaped as udev has it in `DM_NAME`; or any name of
    ///   the device.
    public func openSession(_ device: String) throws(SessionsError) -> OpeningOutcome {
        let all = try activations()
        var activation = all.first { path(of: $0) == "/dev/mapper/\(device)" }
        if activation == nil { activation = try find(device) }
        guard let activation else { throw .notActivated(device) }
        let number = try asSessionsError {
            try deviceMapper.info(MapperNames.origin(activation))?.number
        }
        let use = try number.map { number throws(SessionsError) in try uses(of: number).first }
        return try openSession(activation.id, use: use ?? nil)
    }

    func openSession(_ id: String, use: DeviceUse?) throws(SessionsError) -> OpeningOutcome {
        try registry.update { document throws(SessionsError) in
            guard var activation = document[id: id] else { throw .notActivated(id) }
            if let open = activation.session.flatMap({ SessionName($0) }) {
                return .alreadyOpen(open)
            }
            guard activation.phase == .active, activation.nextStore == nil else { return .later }
            // A rule's process that was killed right after the rename: that session is this mount's.
            if let named = try namedWithoutRegistry(activation),
                let name = SessionName(named.record.name)
            {
                activation.session = name.text
                document[id: id] = activation
                return .opened(name)
            }
            let name = try name(
                activation.armedDirectory(activation.store), in: activation
            ) { name in
                var record = newRecord(activation, name: name, kind: .mount)
                if case .mount(let mount) = use {
                    record.mountPoint = mount.target
                    record.fileSystem = mount.type
                }
                return record
            }
            activation.session = name.text
            document[id: id] = activation
            return .opened(name)
        }
    }

    /// A record of a session that begins now.
    func newRecord(
        _ activation: Activation, name: SessionName, kind: SessionRecord.Kind
    ) -> SessionRecord {
        SessionRecord(
            name: name.text, kind: kind, state: activation.isInvalid ? .invalid : .open,
            device: activation.path, deviceName: activation.name, deviceKind: activation.kind,
            identity: activation.identity, size: activation.size, activation: activation.id,
            store: activation.store, chain: activation.chain, index: activation.nextIndex,
            chunkSize: activation.chunkSize, openedAt: kernel.now(),
            baseline: activation.baseline)
    }

    /// Gives an armed store's directory a session's name: the record goes in first, then one rename
    /// makes the session appear whole.
    func name(
        _ armed: FilePath, in activation: Activation,
        record: (SessionName) throws(SessionsError) -> SessionRecord
    ) throws(SessionsError) -> SessionName {
        try asSessionsError {
            let time = kernel.now()
            for attempt in 1...1000 {
                let name = SessionName(
                    prefix: activation.sessionPrefix, time: time, attempt: attempt)
                let directory = Layout.session(in: activation.base, name)
                if Files.exists(directory) { continue }
                try write(record(name), in: armed)
                do throws(SystemError) {
                    try Files.renameNew(armed, to: directory)
                } catch {
                    if error.errno == .fileExists { continue }
                    throw error
                }
                try Files.synchronizeDirectory(activation.base)
                return name
            }
            throw SessionsError.unsuitable(
                device: activation.base.string,
                reason: "a thousand sessions of \(activation.name) have this second's name")
        }
    }
}

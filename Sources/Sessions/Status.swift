import Block
import DeviceMapper
public import FoundationEssentials
import SystemPackage
internal import ExceptionStore

/// An activated device, as `status --json` prints it.
public struct DeviceStatus: Sendable, Codable {
    /// What a device is doing.
    public enum State: String, Sendable, Codable {
        /// A store captures, nothing is mounted.
        case armed
        /// A session is open.
        case open
        /// The store has missed writes: it is full or failed.
        case invalid
        /// The device, its tables or its store are not there.
        case missing
    }

    /// What was activated: a block device's or an image's path.
    public let device: String
    /// `<name>` in `dmsnap-<name>`.
    public let name: String
    /// What to mount.
    public let path: String
    /// Its state.
    public let state: State
    /// A block device or an image.
    public let kind: Activation.Kind
    /// The open session's name.
    public let session: String?
    /// Why the chain is broken, if somebody was seen writing past us, or why an online restore has
    /// stopped; else nil.
    public let warning: String?
    /// In bytes.
    public let chunkSize: UInt64
    /// Bytes of the store that are taken, metadata included; nil if its table isn't loaded.
    public let storeUsedBytes: UInt64?
    /// Bytes that the store has.
    public let storeLimitBytes: UInt64?
    /// The archive that is being made of a session of this device; nil if none is.
    public let archiving: ArchivingStatus?
    /// The online restore that is under way.
    public let merge: MergeProgress?

    private enum CodingKeys: String, CodingKey {
        case device, name, path, state, kind, session, chunkSize, storeUsedBytes, storeLimitBytes
        case warning, archiving, merge
    }

    /// Writes every key, also those that are null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(device, forKey: .device)
        try container.encode(name, forKey: .name)
        try container.encode(path, forKey: .path)
        try container.encode(state, forKey: .state)
        try container.encode(kind, forKey: .kind)
        try container.encode(session, forKey: .session)
        try container.encode(chunkSize, forKey: .chunkSize)
        try container.encode(storeUsedBytes, forKey: .storeUsedBytes)
        try container.encode(storeLimitBytes, forKey: .storeLimitBytes)
        try container.encode(warning, forKey: .warning)
        try container.encode(archiving, forKey: .archiving)
        try container.encode(merge, forKey: .merge)
    }
}

/// A session, as `sessions --json` prints it.
public struct SessionSummary: Sendable, Codable {
    /// The session's name.
    public let name: String
    /// Its directory.
    public let directory: String
    /// What was activated: the path then.
    public let device: String
    /// The session's state.
    public let state: SessionRecord.State
    /// When the mount was seen.
    public let openedAt: Date
    /// When it was closed; nil while open.
    public let closedAt: Date?
    /// In bytes.
    public let chunkSize: UInt64
    /// Chunks kept; while open, the chunks taken so far.
    public let chunks: UInt64?
    /// Bytes of the device that those are.
    public let bytes: UInt64?
    /// Bytes that the session takes on disk.
    public let storedBytes: UInt64
    /// Whether it holds everything that its mount overwrote, and is closed.
    public let complete: Bool

    private enum CodingKeys: String, CodingKey {
        case name, directory, device, state, openedAt, closedAt, chunkSize, chunks, bytes
        case storedBytes, complete
    }

    /// Writes every key, also those that are null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(directory, forKey: .directory)
        try container.encode(device, forKey: .device)
        try container.encode(state, forKey: .state)
        try container.encode(openedAt, forKey: .openedAt)
        try container.encode(closedAt, forKey: .closedAt)
        try container.encode(chunkSize, forKey: .chunkSize)
        try container.encode(chunks, forKey: .chunks)
        try container.encode(bytes, forKey: .bytes)
        try container.encode(storedBytes, forKey: .storedBytes)
        try container.encode(complete, forKey: .complete)
    }
}

/// `status` and `sessions`: what there is. Nothing is changed.
extension SnapshotService {
    /// Every activated device, or the one named.
    ///
    /// - Throws: `notActivated`, `noSuchDevice` for one that is named.
    public func status(_ device: String? = nil) throws(SessionsError) -> [DeviceStatus] {
        if let device {
            guard let activation = try find(device) else { throw .notActivated(device) }
            return [try status(of: activation)]
        }
        return try activations().map { activation throws(SessionsError) in
            try status(of: activation)
        }
    }

    func status(of activation: Activation) throws(SessionsError) -> DeviceStatus {
        let snapshot = try snapshotStatus(activation, store: activation.store)
        let origin = try asSessionsError {
            try deviceMapper.info(MapperNames.origin(activation))
        }
        var used: UInt64?
        var limit: UInt64?
        var state: DeviceStatus.State = activation.session == nil ? .armed : .open
        switch snapshot {
        case .usage(let allocated, let total, _):
            used = allocated.bytes?.bytes
            limit = total.bytes?.bytes
        case nil: state = .missing
        default: state = .invalid
        }
        if activation.isInvalid { state = .invalid }
        if origin?.hasLiveTable != true { state = .missing }
        let merge = try mergeProgress(activation)
        return DeviceStatus(
            device: activation.path, name: activation.name, path: path(of: activation),
            state: state, kind: activation.kind, session: activation.session,
            warning: activation.broken ?? merge?.failure, chunkSize: activation.chunkSize.bytes,
            storeUsedBytes: used, storeLimitBytes: limit,
            archiving: archiving().flatMap { $0.chain == activation.chain ? $0 : nil },
            merge: merge)
    }

    /// What a list of sessions shows of one.
    public func summary(of session: Session) -> SessionSummary {
        let record = session.record
        var chunks = record.chunks
        var bytes = record.bytes
        if record.state == .open, let activation = try? registry.read()[id: record.activation],
            let chunk = try? chunkSize(activation),
            let status = try? snapshotStatus(activation, store: record.store)
        {
            chunks = status.chunksTaken(chunk: chunk.sectors)
            bytes = chunks.map { min($0 &* chunk.bytes.bytes, record.size.bytes) }
        }
        return SessionSummary(
            name: record.name, directory: session.directory.string, device: record.device,
            state: record.state, openedAt: record.openedAt, closedAt: record.closedAt,
            chunkSize: record.chunkSize.bytes, chunks: chunks, bytes: bytes,
            storedBytes: storedBytes(in: session.directory),
            complete: record.state == .closed || record.state == .archived)
    }

    private func storedBytes(in directory: FilePath) -> UInt64 {
        let names = (try? Files.list(directory)) ?? []
        return names.reduce(0) { sum, name in
            sum + ((try? FileStatus(directory.appending(name)).allocated.bytes) ?? 0)
        }
    }

    /// The sessions of one device, or of all.
    public func sessions(
        of device: String?
    ) throws(SessionsError) -> [Result<Session, SessionsError>] {
        let all = try sessions()
        guard let device else { return all }
        // A device that is gone, or not activated any more, still has its sessions.
        let resolved = (try? Files.resolve(FilePath(device)).string) ?? device
        let activation = try? find(device)
        return all.filter { result in
            guard case .success(let session) = result else { return false }
            let record = session.record
            return record.device == resolved || record.device == device
                || record.deviceName == device || record.chain == activation?.chain
        }
    }
}

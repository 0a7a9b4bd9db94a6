public import Block
import DeviceMapper
import SystemPackage
internal import FoundationEssentials
internal import ExceptionStore

/// What the monitor looks at and decides by: one activation and how the kernel has it now.
public struct Watched: Sendable {
    /// The activation, as registered.
    public let activation: Activation
    /// The origin's number, for its events.
    public let number: DeviceNumber
    /// Mounts anywhere, swap, devices built on it.
    public let uses: [DeviceUse]
    /// Everybody who has it open.
    public let openCount: Int
    /// The present store's status; nil if its snapshot isn't loaded.
    public let usage: StoreUsage?
    /// The online restore that is under way.
    public let merge: MergeProgress?
}

/// How full the present store is.
public enum StoreUsage: Hashable, Sendable {
    /// Bytes taken and there, and the chunks among them.
    case taken(ByteCount, of: ByteCount, chunks: UInt64)
    /// The kernel has dropped it.
    case invalid
}

/// The monitor's view of the domain.
extension SnapshotService {
    /// Every active activation whose tables are loaded.
    public func watched() throws(SessionsError) -> [Watched] {
        var found: [Watched] = []
        for activation in try activations() where activation.phase == .active {
            if let one = try watch(activation) { found.append(one) }
        }
        return found
    }

    private func watch(_ activation: Activation) throws(SessionsError) -> Watched? {
        try asSessionsError {
            guard let info = try deviceMapper.info(MapperNames.origin(activation)),
                info.hasLiveTable
            else { return nil }
            let chunk = try chunkSize(activation).sectors
            var usage: StoreUsage?
            switch try snapshotStatus(activation, store: activation.store) {
            case nil, .unknown: break
            case .usage(let allocated, let total, let metadata):
                let status = SnapshotStatus.usage(
                    allocated: allocated, total: total, metadata: metadata)
                usage = .taken(
                    allocated.bytes ?? ByteCount(0), of: total.bytes ?? ByteCount(0),
                    chunks: status.chunksTaken(chunk: chunk) ?? 0)
            case .invalid, .mergeFailed, .overflow: usage = .invalid
            }
            return Watched(
                activation: activation, number: info.number,
                uses: info.openCount == 0 ? [] : try uses(of: info.number),
                openCount: info.openCount, usage: usage, merge: try mergeProgress(activation))
        }
    }

    /// Keeps, on disk, that the kernel has dropped the present store: its own header may not say so
    /// after a reboot.
    ///
    /// - Parameter store: the one that was seen to be; another may have taken over since.
    public func markInvalid(_ id: String, store: Int) throws(SessionsError) {
        let activation = try change(id) { if $0.store == store { $0.isInvalid = true } }
        guard activation.store == store, activation.session != nil else { return }
        var record = try session(at: activation.directory).record
        record.state = .invalid
        // The registry has it; the sessions' file system may be the very thing that is full.
        try? write(record, in: activation.directory)
    }

    /// A loop device over an image besides our own: what is written there escapes.
    public func otherLoop(_ watched: Watched) -> String? {
        guard watched.activation.kind == .image,
            let loops = try? kernel.loops(on: FilePath(watched.activation.path)), loops.count > 1,
            let own = try? loadedSource(watched.activation)
        else { return nil }
        return loops.first { $0.number != own }?.path.string
    }

    /// Keeps, on disk, that somebody wrote to the device past its origin: sessions before can't be
    /// restored through that.
    public func markBroken(_ id: String, _ reason: String) throws(SessionsError) {
        guard let activation = try activations().first(where: { $0.id == id }) else { return }
        let isEmpty = try asSessionsError {
            try activation.session == nil && isEmptyWhileLoaded(activation)
        }
        if isEmpty { try forgetEnd(before: activation) }
        try change(id) { current in
            current.broken = current.broken ?? reason
            // With nothing in the present store the break lies before it.
            if isEmpty, current.store == activation.store, current.session == nil {
                current.startChain()
            } else {
                current.isBrokenInside = true
            }
        }
    }

    /// Tells udev, and whoever's rules match it, of a mount (`opened`) or its end (`closed`).
    public func announce(_ watched: Watched, _ word: String) throws(SessionsError) {
        do {
            try kernel.announce(watched.number, word)
        } catch {
            throw .system(error)
        }
    }

    /// Opens a session as the rule would, where the rule did not.
    public func openSession(_ watched: Watched) throws(SessionsError) -> OpeningOutcome {
        try openSession(watched.activation.id, use: watched.uses.first)
    }

    /// How full the file system of the present store is, 0 to 100.
    public func fileSystemPercent(_ watched: Watched) -> Int? {
        guard let space = try? Files.freeSpace(watched.activation.directory),
            space.size.bytes > 0
        else { return nil }
        return Int(100 - min(100, space.free.bytes * 100 / space.size.bytes))
    }

    /// Runs `body` under the registry's lock if nothing is activated, so that nothing can be
    /// activated before it has run.
    ///
    /// - Returns: whether it ran.
    public func ifNothingIsActivated(_ body: () -> Void) throws(SessionsError) -> Bool {
        // Looked at without the lock first: it is asked after every event.
        guard try registry.read().activations.isEmpty else { return false }
        return try registry.update { document in
            guard document.activations.isEmpty else { return false }
            body()
            return true
        }
    }
}

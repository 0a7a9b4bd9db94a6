import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// `status` and `sessions`: what there is. Nothing is changed.
struct Reporter: Sendable {
    let lifecycle: Lifecycle
    let archiver: Archiver
    private var aftercare: Aftercare { Aftercare(catalogue: catalogue) }

    private var registry: Registry { lifecycle.registry }
    private var stack: Stack { lifecycle.stack }
    private var catalogue: Catalogue { lifecycle.catalogue }

    /// Every activated device, or the one named.
    ///
    /// - Throws: `notActivated`, `noSuchDevice` for one that is named.
    func status(_ device: String?) throws(SessionsError) -> [DeviceStatus] {
        if let device {
            if let activation = try lifecycle.finder.find(device) {
                return [try status(of: activation)]
            }
            let path = FilePath(device)
            guard let one = try registry.read().pending?.first(where: { $0.isAt(path) }) else {
                throw .notActivated(device)
            }
            return [status(of: one)]
        }
        let active = try registry.activations().map { activation throws(SessionsError) in
            try status(of: activation)
        }
        return try active + (registry.read().pending ?? []).map { status(of: $0) }
    }

    /// Of a device that waits to be activated.
    private func status(of pending: PendingActivation) -> DeviceStatus {
        let path = pending.path.path
        let place = lifecycle.kernel.mountToCome(
            for: lifecycle.baseDirectory(of: pending.place))
        let moment = place.map { "\($0) is mounted, where its sessions go" } ?? "it is unmounted"
        return DeviceStatus(
            device: pending.path, name: ByteText(path.lastComponent?.string ?? ""),
            path: pending.path,
            state: .waiting, kind: pending.kind, session: nil, captured: false,
            warning: "\(pending.path) is not captured yet: it is activated when \(moment)",
            chunkSize: pending.chunkSize?.bytes ?? catalogue.configuration.chunkSize.bytes.bytes,
            storeUsedBytes: nil, storeLimitBytes: nil, archiving: nil, after: nil, merge: nil,
            leaving: false, mode: pending.overlay == nil ? .capture : .overlay,
            restoreAt: pending.overlay ?? pending.putBackAt ?? .never,
            base: (pending.putBackAt ?? .never) == .never ? nil : "last",
            keep: pending.keep ?? 0, group: nil)
    }

    /// The store's status as the kernel says it, and the activation that it is of: in an exchange the
    /// next one may have taken over already, and its end may come between two looks.
    private func look(
        at activation: Activation
    ) throws(SessionsError) -> (Activation, SnapshotStatus?) {
        var activation = activation
        for _ in 0..<3 {
            var status = try stack.status(activation, store: activation.store.number)
            if status == nil, case .exchanging(_, let next) = activation.state {
                status = try stack.status(activation, store: next.number)
            }
            if status != nil { return (activation, status) }
            guard let now = try registry.read()[id: activation.id], now != activation else {
                break
            }
            activation = now
        }
        return (activation, nil)
    }

    private func status(of known: Activation) throws(SessionsError) -> DeviceStatus {
        let (activation, status) = try look(at: known)
        let store = activation.store
        var used: UInt64?
        var limit: UInt64?
        var state: DeviceStatus.State = activation.session == nil ? .armed : .open
        switch status {
        case .usage(let allocated, let total, _):
            used = allocated.bytes?.bytes
            limit = total.bytes?.bytes
        case .overflow where activation.state.overlay != nil: break
        case nil: state = store.loss == nil ? .missing : .invalid
        default: state = .invalid
        }
        if store.loss != nil { state = .invalid }
        let condition = try stack.condition(activation)
        if condition != .live { state = .missing }
        if activation.state.overlay != nil, state == .armed { state = .overlay }
        let merge = try lifecycle.merger.progress(activation)
        if state == .armed, isRestoring(activation, merge) { state = .restoring }
        return DeviceStatus(
            device: activation.path, name: activation.name,
            path: DeviceFinder.path(of: activation), state: state, kind: activation.kind,
            session: activation.session,
            captured: [.armed, .open, .overlay, .restoring].contains(state),
            warning: warning(activation, condition, merge),
            chunkSize: activation.chunkSize.bytes, storeUsedBytes: used, storeLimitBytes: limit,
            archiving: archiver.archiving().flatMap {
                $0.chain == activation.chain.id ? $0 : nil
            },
            after: aftercare.status(of: activation.path),
            merge: merge, leaving: activation.isLeaving == true,
            mode: activation.restoreAt == nil ? .capture : .overlay,
            restoreAt: activation.timeOfRestore,
            base: activation.restorePolicy.map { $0.session?.text ?? "last" },
            keep: activation.restorePolicy?.keep ?? 0,
            group: try registry.read().group(of: activation.id)?.name)
    }

    /// Whether something is still to come of what it is put back to, and nothing has stopped that.
    private func isRestoring(_ activation: Activation, _ merge: MergeProgress?) -> Bool {
        if let merge { return merge.failure == nil }
        return activation.isToBePutBack && activation.restorePolicy?.failure == nil
    }

    /// The gravest of what there is to say of a device.
    private func warning(
        _ activation: Activation, _ condition: Stack.Condition, _ merge: MergeProgress?
    ) -> String? {
        if case .dead(let reason) = condition { return reason }
        if condition == .live, !lifecycle.finder.isThere(activation.base) {
            return "the sessions' directory \(activation.base.path) is hidden: something is "
                + "mounted over it, or its file system is not mounted"
        }
        if let loss = activation.store.loss { return loss }
        if let failure = merge?.failure { return failure }
        if let overlay = activation.state.overlay {
            if overlay.isCommitting {
                return
                    "a commit has begun and not ended: `dmsnap commit \(activation.path)` goes on with it"
            }
            let status = try? stack.status(activation, store: overlay.store.number)
            if case .overflow = status {
                return
                    "its store is full, and programs that write to it get errors: unmount it, then "
                    + "commit or discard what was written"
            }
            if case .invalid = status {
                return "its store failed, and what was written over it is lost: "
                    + "`dmsnap discard \(activation.path)` puts the device back"
            }
            return overlay.store.breach?.what
        }
        if let failure = activation.restorePolicy?.failure {
            return
                "not put back: \(failure); `dmsnap set \(activation.path) --base last` makes what it is now "
                + "its base"
        }
        if let breach = activation.store.breach {
            return "\(breach.what): sessions up to now restore only with --accept-writes"
        }
        let holders =
            (try? stack.snapshot(activation, store: activation.store.number))
            .flatMap { $0?.openCount } ?? 0
        if holders > 0,
            let name = try? MapperNames.snapshot(
                activation, store: activation.store.number)
        {
            return "a program has \(name.path) open: until it lets go no session is closed"
        }
        return nil
    }

    /// What a list of sessions shows of one.
    func summary(of session: Session) -> SessionSummary {
        let record = session.record
        var chunks = record.chunks
        var bytes = record.bytes
        if record.state == .open, let activation = try? registry.read()[id: record.activation],
            let taken = try? stack.chunksTaken(activation, store: record.store)
        {
            chunks = taken
            bytes = chunks.map { min($0 &* record.chunkSize.bytes, record.size.bytes) }
        }
        return SessionSummary(
            name: record.name, directory: ByteText(session.directory), device: record.device,
            state: record.state, openedAt: record.openedAt, closedAt: record.closedAt,
            chunkSize: record.chunkSize.bytes, chunks: chunks, bytes: bytes,
            storedBytes: catalogue.storedBytes(in: session.directory),
            complete: [.closed, .archived].contains(record.state) && record.broken == nil,
            kind: SessionSummary.Kind(record), label: record.label, pinned: record.isPinned,
            interrupted: record.interrupted, broken: record.broken,
            mountPoint: record.mountPoint.map { ByteText($0) },
            // libblkid was asked when the store was armed.
            fileSystem: record.fileSystem ?? record.baseline.contents.type)
    }

    /// The sessions of one device, or of all.
    func sessions(
        of device: String?
    ) throws(SessionsError) -> [Result<Session, SessionsError>] {
        let all = try catalogue.sessions()
        guard let device else { return all }
        // A device that is gone, or not activated any more, still has its sessions.
        let text = ByteText(device)
        let resolved = (try? Files.resolve(FilePath(device))).map { ByteText($0) } ?? text
        let activation = try? lifecycle.finder.find(device)
        return all.filter { result in
            guard case .success(let session) = result else { return false }
            let record = session.record
            return record.device == resolved || record.device == text
                || record.deviceName == text || record.chain == activation?.chain.id
        }
    }

    /// The latest session of a device: the last of the chain that it is in now, or else that was opened
    /// last.
    ///
    /// - Throws: `noSuchSession`, `damagedRecord` if one that can't be read may be it.
    func latestSession(of device: String) throws(SessionsError) -> Session {
        let found = try sessions(of: device).map { result throws(SessionsError) in
            try result.get()
        }.filter(\.hasOwnDevice)
        let chain = (try? lifecycle.finder.find(device))?.chain.id
        let present = found.filter { $0.record.chain == chain }
        let last = Chain(present.map(\.record)).latest
        guard let latest = present.first(where: { $0.record.name == last }) ?? found.last else {
            throw .noSuchSession(device)
        }
        return latest
    }
}

import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What exchanging a device's store did.
public enum RolloverOutcome: Sendable {
    /// A new store captures; the old one became this session.
    case closed(Session)
    /// A new store captures; the old one held nothing and is gone.
    case dropped
    /// Somebody uses the device: nothing was changed.
    case inUse
    /// The store is empty and no session is open: there is nothing to exchange.
    case nothingToDo
}

/// The last unmount: a new store takes over in one suspend, then the old one becomes a session.
extension SnapshotService {
    /// Exchanges the store of an activation: closes the session that is open, or makes an offline
    /// one of what was written outside a mount.
    ///
    /// - Parameter restoreOf: the session whose restore wrote to the armed store.
    public func rollOver(
        _ id: String, restoreOf: String? = nil
    ) throws(SessionsError) -> RolloverOutcome {
        try operating(on: id) { activation in
            let activation = try recoverLocked(activation)
            guard let activation, activation.phase == .active else { return .nothingToDo }
            return try rollOverLocked(activation, restoreOf: restoreOf)
        }
    }

    /// Exchanges the store as soon as nobody but udev, which probes what was just closed, has the
    /// device open.
    func rollOverWhenIdle(
        _ activation: Activation, restoreOf: String? = nil
    ) throws -> RolloverOutcome {
        for _ in 0..<50 {
            let outcome = try rollOverLocked(
                registry.read()[id: activation.id] ?? activation, restoreOf: restoreOf)
            guard case .inUse = outcome else { return outcome }
            let number = try deviceMapper.info(MapperNames.origin(activation))?.number
            if let number, try !uses(of: number).isEmpty { break }
            kernel.pause(milliseconds: 100)
        }
        return .inUse
    }

    func rollOverLocked(
        _ activation: Activation, restoreOf: String? = nil
    ) throws -> RolloverOutcome {
        // The next store's baseline would be half of what is being restored.
        if activation.merge != nil { return .nothingToDo }
        if activation.session == nil, try isEmptyWhileLoaded(activation) { return .nothingToDo }
        // Who wants to wait does so around this: the monitor has other devices to look after.
        guard try isIdle(activation, patience: 1) else { return .inUse }
        if try activation.isInvalid
            || snapshotStatus(activation, store: activation.store) == .invalid
        {
            try giveUpStore(activation)
        }
        // Nobody has it open, so nothing changes it before the suspend; who opens it until then, or
        // has written to it and closed it again, is seen there.
        let before = try snapshotStatus(activation, store: activation.store)
        let end = try kernel.fingerprint(FilePath(MapperNames.origin(activation).path))
        let next = activation.store + 1
        let announced = try change(activation.id) { current in
            current.nextStore = next
            current.nextBaseline = end
        }
        guard let (status, last) = try exchange(announced, next: next, expecting: before) else {
            try forgetNext(activation)
            return .inUse
        }
        if last != end { try change(activation.id) { $0.nextBaseline = last } }
        return try settle(
            announced, end: last, wasInvalid: status == .invalid, restoreOf: restoreOf)
    }

    func isEmptyWhileLoaded(_ activation: Activation) throws -> Bool {
        guard !activation.isInvalid,
            let status = try snapshotStatus(activation, store: activation.store),
            let taken = status.chunksTaken(chunk: try chunkSize(activation).sectors)
        else { return false }
        return taken == 0
    }

    /// Arms store `next` beside the present one and takes that away, in one suspend of the origin.
    ///
    /// - Returns: the old snapshot's last status, and what the device looked like in the suspend; nil
    ///   if somebody had opened the device by then, and everything is as before.
    private func exchange(
        _ activation: Activation, next: Int, expecting before: SnapshotStatus?
    ) throws -> (SnapshotStatus, Fingerprint)? {
        struct Opened: Error {}
        let origin = try MapperNames.origin(activation)
        let old = try MapperNames.snapshot(activation, store: activation.store)
        let directory = activation.armedDirectory(next)
        var undo = Undo()
        do {
            try makeStore(activation, next)
            undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
            undo.add("detaching the new store") { try detachStore(in: directory) }
            let loop = try kernel.attachLoop(
                Layout.store(in: directory), sector: activation.sector)
            let source = try source(activation)
            return try deviceMapper.inTransaction { transaction in
                try deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                    // A mount that came since the look at the open count is covered by the store
                    // that is there: its session simply goes on.
                    guard try deviceMapper.info(origin)?.openCount == 0 else { throw Opened() }
                    let status = try snapshotStatus(activation, store: activation.store)
                    guard status == before else { throw Opened() }
                    // A write just before the suspend to a chunk that the store had already shows in
                    // no status. The raw device isn't suspended, and has all that was written.
                    let end = try kernel.fingerprint(source.path)
                    var undoSnapshot = Undo()
                    do {
                        try loadSnapshot(
                            activation, store: next, of: source.number, on: loop.number,
                            in: transaction, undo: &undoSnapshot)
                        if status != nil { try deviceMapper.remove(old, in: transaction) }
                    } catch {
                        throw undoSnapshot.run(after: error)
                    }
                    return (status ?? .invalid, end)
                }
            }
        } catch is Opened {
            let failure = undo.run(after: SessionsError.internalFault("opened"))
            if case .rollback(_, let failures) = failure {
                throw SessionsError.internalFault(failures.joined(separator: "; "))
            }
            return nil
        } catch {
            // The new store captures already (only udev's answer, or the resume, failed), or nobody
            // knows: undoing would throw away what it holds. `recover` sees which, and goes on.
            let new = try MapperNames.snapshot(activation, store: next)
            if (try? deviceMapper.info(new) != nil) ?? true { throw error }
            let failure = undo.run(after: error)
            try forgetNext(activation)
            throw failure
        }
    }

    /// Takes away an invalid store that the kernel has dropped, and frees what it holds.
    ///
    /// It misses writes, so nothing can be restored from it; and it may be what fills the file system
    /// that the next store needs.
    private func giveUpStore(_ activation: Activation) throws {
        try markInvalid(activation.id, store: activation.store)
        let origin = try MapperNames.origin(activation)
        let old = try MapperNames.snapshot(activation, store: activation.store)
        if try deviceMapper.info(old) != nil {
            try deviceMapper.inTransaction { transaction in
                try deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                    try deviceMapper.remove(old, in: transaction)
                }
            }
        }
        try detachStore(in: activation.directory)
        try OwnedDescriptor.open(Layout.store(in: activation.directory), .readWrite)
            .resize(to: ByteCount(0))
    }

    func forgetNext(_ activation: Activation) throws(SessionsError) {
        try change(activation.id) { current in
            current.nextStore = nil
            current.nextBaseline = nil
        }
    }

    /// The new store captures and the old one's table is gone: makes a session of the old one, or
    /// drops it, and lets the registry say so. Can be done again after a crash at any point of it.
    func settle(
        _ activation: Activation, end: Fingerprint, wasInvalid: Bool, restoreOf: String? = nil,
        interrupted: Bool = false
    ) throws -> RolloverOutcome {
        let ended = try finish(
            activation, end: end, wasInvalid: wasInvalid, restoreOf: restoreOf,
            interrupted: interrupted)
        try change(activation.id) { current in
            if let next = current.nextStore { current.store = next }
            current.nextStore = nil
            current.nextBaseline = nil
            current.session = nil
            current.isInvalid = false
            current.restored = nil
            current.baseline = end
            if let ended { current.nextIndex = ended.record.index + 1 }
            if current.isBrokenInside { current.startChain() }
            current.broken = nil
            current.isBrokenInside = false
        }
        return ended.map { .closed($0) } ?? .dropped
    }

    /// Makes a closed session of a store whose table is gone, or deletes it if it holds nothing.
    ///
    /// - Returns: nil if it was deleted.
    func finish(
        _ activation: Activation, end: Fingerprint?, wasInvalid: Bool, restoreOf: String? = nil,
        interrupted: Bool = false
    ) throws -> Session? {
        var directory = activation.directory
        if !Files.exists(directory), let named = try namedStore(activation) {
            directory = named.directory
        }
        let isInvalid = wasInvalid || activation.isInvalid
        // Dropped as empty already, before a crash; or it had not got its length yet, let alone a
        // table.
        let store = Layout.store(in: directory)
        guard Files.exists(store), try isInvalid || FileStatus(store).size.bytes > 0 else {
            guard !Files.exists(Layout.archive(in: directory)) else {
                throw SessionsError.internalFault("\(directory) was archived before it was closed")
            }
            try detachStore(in: directory)
            try Files.removeDirectory(directory)
            return nil
        }
        try detachStore(in: directory)
        try OwnedDescriptor.open(store, .readWrite).synchronize()
        let count = try isInvalid ? nil : chunksHeld(activation, in: directory)
        let isNamed =
            Files.exists(Layout.record(in: directory))
            && directory != activation.armedDirectory(activation.store)
        if count?.chunks == 0, !(isNamed && configuration.keepsEmptySessions) {
            if activation.isBrokenInside { try forgetEnd(before: activation) }
            try Files.removeDirectory(directory)
            return nil
        }
        func closed(_ record: SessionRecord) -> SessionRecord {
            var record = record
            record.state = isInvalid || count == nil ? .invalid : .closed
            record.closedAt = record.closedAt ?? kernel.now()
            record.chunks = count?.chunks
            record.bytes = count?.bytes
            record.end = activation.isBrokenInside ? nil : end ?? record.end
            record.interrupted = record.interrupted || interrupted
            if activation.isBrokenInside { record.broken = activation.broken }
            // A restore that takes long looks like a use, and its session was opened as one.
            if let restoreOf {
                record.kind = .offline
                record.restoreOf = restoreOf
            } else if let restored = activation.restored {
                record.restoreOf = restored.session
                record.continues = restored.continues
            }
            return record
        }
        if isNamed {
            let session = try session(at: directory)
            let record = closed(session.record)
            try write(record, in: directory)
            return Session(directory: directory, record: record)
        }
        let name = try name(directory, in: activation) { name in
            closed(newRecord(activation, name: name, kind: .offline))
        }
        return try self.session(at: Layout.session(in: activation.base, name))
    }

    /// A session directory made of this activation's present store, when a crash came between the
    /// rename and the registry's change.
    func namedStore(_ activation: Activation) throws(SessionsError) -> Session? {
        try sessions().compactMap { try? $0.get() }.first {
            $0.record.activation == activation.id && $0.record.store == activation.store
        }
    }

    /// What a closed store holds; nil if it is damaged, so that the session is marked and kept.
    private func chunksHeld(
        _ activation: Activation, in directory: FilePath
    ) throws(SessionsError) -> (chunks: UInt64, bytes: UInt64)? {
        let store: ClosedStore
        do {
            store = try closedStore(
                in: directory, originSize: activation.size, chunkSize: activation.chunkSize,
                session: directory.lastComponent?.string ?? "")
        } catch {
            if case .damagedStore = error { return nil }
            throw error
        }
        let chunks = UInt64(store.exceptions.count)
        let whole = chunks.multipliedReportingOverflow(by: activation.chunkSize.bytes)
        let bytes = whole.overflow ? activation.size.bytes : whole.partialValue
        return (chunks, min(bytes, activation.size.bytes))
    }
}

import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// A merge that runs, ends, or was cut short.
extension SnapshotService {
    /// Whether the origin's live table is a merge.
    func isMerging(_ activation: Activation) throws -> Bool {
        let origin = try MapperNames.origin(activation)
        guard try deviceMapper.info(origin)?.hasLiveTable == true else { return false }
        return try deviceMapper.table(origin).first?.type == SnapshotMergeTarget.type
    }

    /// How far an online restore is; nil if none is under way.
    func mergeProgress(_ activation: Activation) throws(SessionsError) -> MergeProgress? {
        guard let merge = activation.merge else { return nil }
        return try asSessionsError {
            switch try mergeStatus(activation, merge) {
            case .left(let chunks): return MergeProgress(merge, left: chunks)
            case .failed:
                // The kernel has stopped, so what the store's file says is so.
                return MergeProgress(
                    merge, left: try? chunksToMerge(activation, merge),
                    failure: failure(
                        activation, merge,
                        "stopped at an I/O error, of \(activation.path) or of the store in "
                            + "\(activation.mergingDirectory); the device shows the restored "
                            + "contents all the same",
                        "mend what failed (dmesg tells), unmount the device"))
            case nil: break
            }
            do {
                return MergeProgress(merge, left: try chunksToMerge(activation, merge))
            } catch {
                return MergeProgress(merge, left: nil, failure: "\(error)")
            }
        }
    }

    private func failure(
        _ activation: Activation, _ merge: OnlineMerge, _ what: String, _ advice: String
    ) -> String {
        "restoring session \(merge.session) online \(what); \(advice), then run "
            + "`dmsnap assemble \(activation.path)`"
    }

    /// What the kernel says of the merge; nil if it isn't at it.
    private func mergeStatus(
        _ activation: Activation, _ merge: OnlineMerge
    ) throws -> MergeStatus? {
        let origin = try MapperNames.origin(activation)
        guard try deviceMapper.info(origin)?.hasLiveTable == true,
            let status = try deviceMapper.status(origin).first,
            status.type == SnapshotMergeTarget.type
        else { return nil }
        guard let read = SnapshotStatus(line: status.parameters) else { return .failed }
        return MergeStatus(read, chunk: SectorCount(merge.chunkSize.bytes / SectorCount.size))
    }

    /// What the store in its file still has, all of its metadata checked. No table may use it.
    private func chunksToMerge(
        _ activation: Activation, _ merge: OnlineMerge
    ) throws(SessionsError) -> UInt64 {
        do {
            let store = try ClosedStore(
                path: Layout.store(in: activation.mergingDirectory), originSize: activation.size,
                expecting: ChunkSize(merge.chunkSize))
            return UInt64(store.exceptions.count)
        } catch {
            throw .unsuitable(
                device: activation.path,
                reason: failure(
                    activation, merge,
                    "can't go on: the store in \(activation.mergingDirectory): \(error)",
                    "put that back; or deactivate the device and restore the session again: "
                        + "otherwise"))
        }
    }

    /// Whether `recover` has something to do about a merge.
    func isMergeUnfinished(_ activation: Activation) throws -> Bool {
        guard activation.merge != nil else { return Files.exists(activation.mergingDirectory) }
        let origin = try MapperNames.origin(activation)
        return try deviceMapper.info(origin)?.hasLiveTable == true && !isMerging(activation)
    }

    /// Begins, ends, or gives up a merge, whatever a process that died has left to do.
    func recoverMerge(_ activation: Activation) throws -> Activation? {
        guard let merge = activation.merge else {
            try discardMergingStore(activation)
            return activation
        }
        let origin = try MapperNames.origin(activation)
        guard try deviceMapper.info(origin)?.hasLiveTable == true else { return activation }
        let status = try mergeStatus(activation, merge)
        guard let status else {
            return try merge.isRunning
                ? endMerge(activation, left: chunksToMerge(activation, merge))
                : beginAgain(activation, merge)
        }
        if !merge.isRunning { try change(activation.id) { $0.merge?.isRunning = true } }
        guard status == .left(0) else { return try registry.read()[id: activation.id] }
        // The device may be mounted: the contents are the same under either table.
        let table = Target.snapshotOrigin(
            SnapshotOriginTarget(origin: try source(activation).number),
            length: length(activation))
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                try deviceMapper.load(origin, [table], isReadOnly: false)
            }
        }
        return try endMerge(activation, left: 0)
    }

    /// The origin's own table is loaded and the store has nothing left.
    private func endMerge(_ activation: Activation, left: UInt64) throws -> Activation? {
        guard left == 0 else {
            throw SessionsError.internalFault(
                "\(activation.name) has its own table, and \(left) chunks are not back")
        }
        // First: without it nobody takes the store for one that is still needed.
        let ended = try change(activation.id) { $0.merge = nil }
        try discardMergingStore(ended)
        return ended
    }

    /// Killed before the table was loaded. If nobody has used the device since, it goes on; else
    /// nothing of it has happened, and the same command does it again.
    private func beginAgain(
        _ activation: Activation, _ merge: OnlineMerge
    ) throws -> Activation? {
        let store = Layout.store(in: activation.mergingDirectory)
        guard activation.session == nil, try isEmptyWhileLoaded(activation),
            try isIdle(activation), (try? chunksToMerge(activation, merge)) == merge.chunks
        else { return try giveUpMerge(activation) }
        do {
            let target = try kernel.open(
                FilePath(path(of: activation)), .readWrite, exclusive: true)
            let loop =
                try kernel.loops(on: store).first?.number
                ?? kernel.attachLoop(store, sector: activation.sector).number
            try beginMerge(activation, merge, on: loop, holding: target)
            try target.close()
        } catch {
            if SessionsError.from(error).exitStatus == .busy, try !isMerging(activation) {
                return try giveUpMerge(activation)
            }
            throw error
        }
        return try registry.read()[id: activation.id]
    }

    private func giveUpMerge(_ activation: Activation) throws -> Activation? {
        try forgetMerge(activation.id)
        try discardMergingStore(activation)
        return try registry.read()[id: activation.id]
    }

    func discardMergingStore(_ activation: Activation) throws {
        guard Files.exists(activation.mergingDirectory) else { return }
        try detachStore(in: activation.mergingDirectory)
        try Files.removeDirectory(activation.mergingDirectory)
    }

    /// After a boot: whether a merge goes on. Unlike an armed store its store *is* attached again: it
    /// was checked and on stable storage before it was used, and the kernel only takes from it.
    ///
    /// - Throws: where the store can't be used: without it the device would show contents that are
    ///   half the one and half the other.
    func mergeToGoOn(_ activation: Activation) throws -> OnlineMerge? {
        guard let merge = activation.merge else {
            try discardMergingStore(activation)
            return nil
        }
        try detachStore(in: activation.mergingDirectory)
        let store = Layout.store(in: activation.mergingDirectory)
        let left: UInt64
        do {
            left = try chunksToMerge(activation, merge)
        } catch {
            guard merge.isRunning else { return try giveUpMerge(activation)?.merge }
            throw error
        }
        if !merge.isRunning, left == merge.chunks, try wasCaptured(activation) {
            // Nothing was merged, so the device was used as it was before.
            return try giveUpMerge(activation)?.merge
        }
        guard left > 0 else {
            try change(activation.id) { $0.merge = nil }
            try discardMergingStore(activation)
            return nil
        }
        // Entries that a torn write of an area left behind its end are back already.
        let descriptor = try OwnedDescriptor.open(store, .readWrite)
        let contents = try StoreContents.read(
            descriptor, originSize: activation.size, expecting: ChunkSize(merge.chunkSize))
        try StorePreparation.clearStaleTail(descriptor, contents: contents)
        return merge
    }

    /// Whether the store of the last boot holds anything.
    private func wasCaptured(_ activation: Activation) throws -> Bool {
        if activation.session != nil { return true }
        guard Files.exists(Layout.store(in: activation.directory)) else {
            return try namedStore(activation) != nil
        }
        do {
            return try !closedStore(
                in: activation.directory, originSize: activation.size,
                chunkSize: activation.chunkSize, session: activation.name
            ).exceptions.entries.isEmpty
        } catch {
            if case .damagedStore = error { return true }
            throw error
        }
    }

    /// A merge that can go on is not to be lost: what it has not put back yet may be newer than any
    /// session.
    func refuseToLoseMerge(_ activation: Activation) throws {
        guard let merge = activation.merge else { return }
        let origin = try MapperNames.origin(activation)
        if try deviceMapper.info(origin) == nil {
            // Without its store it never goes on, and deactivating is the way out.
            guard let left = try? chunksToMerge(activation, merge), left > 0 else { return }
            throw SessionsError.busy(
                device: activation.path,
                reason: "session \(merge.session) is being restored online, and not all is back",
                advice: "run `dmsnap assemble \(activation.path)`, wait for the rest, "
                    + "then deactivate")
        }
        try refuseMerging(activation, "then deactivate")
    }

    /// Takes the tables of a merge that the kernel has stopped away, so that it is begun again.
    ///
    /// - Returns: false if there is no such merge.
    func takeDownFailedMerge(_ activation: Activation) throws -> Bool {
        guard let merge = activation.merge,
            try mergeStatus(activation, merge) == .failed
        else { return false }
        guard try isIdle(activation) else {
            try refuseMerging(activation, "first unmount the device")
            return false
        }
        try removeTables(activation)
        return true
    }
}

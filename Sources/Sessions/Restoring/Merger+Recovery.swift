import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// A merge that runs, has ended, or was cut short: gone on with.
extension Merger {
    /// Whether `recover` has something to do about it.
    func isUnfinished(_ activation: Activation) throws -> Bool {
        guard activation.merge != nil else { return Files.exists(activation.mergingDirectory) }
        return try stack.isLoaded(activation) && !isMerging(activation)
    }

    /// Begins, ends, or gives up a merge, whatever a process that died has left to do.
    func recover(_ activation: Activation, _ merge: OnlineMerge) throws -> Activation {
        guard try stack.isLoaded(activation) else { return activation }
        let origin = try MapperNames.origin(activation)
        let status = try status(activation, merge)
        guard let status else {
            return try merge.isRunning
                ? end(activation, left: chunksLeft(activation, merge))
                : beginAgain(activation, merge)
        }
        if !merge.isRunning { try noteRunning(activation) }
        guard status == .left(0) else { return try registry.activation(activation.id) }
        // The device may be mounted: the contents are the same under either table.
        let table = Target.snapshotOrigin(
            SnapshotOriginTarget(origin: try stack.source(activation).number),
            length: stack.length(activation))
        try stack.deviceMapper.inTransaction { transaction in
            try stack.deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                try stack.deviceMapper.load(origin, [table], isReadOnly: false)
            }
        }
        return try end(activation, left: 0)
    }

    private func noteRunning(_ activation: Activation) throws(SessionsError) {
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.runMerge()
        }
    }

    private func end(_ activation: Activation, left: UInt64) throws -> Activation {
        guard left == 0 else {
            throw SessionsError.internalFault(
                "\(activation.name) has its own table, and \(left) chunks are not back")
        }
        // First: without it nobody takes the store for one that is still needed.
        let ended = try registry.change(activation.id) { current throws(SessionsError) in
            try current.endMerge()
        }
        try discardStore(ended)
        return ended
    }

    /// Killed before the table was loaded. If nobody has used the device since, it goes on; else
    /// nothing of it has happened, and the same command does it again.
    private func beginAgain(
        _ activation: Activation, _ merge: OnlineMerge
    ) throws -> Activation {
        let store = Layout.store(in: activation.mergingDirectory)
        guard activation.session == nil, try stack.isEmpty(activation),
            try stack.isIdle(activation), (try? chunksLeft(activation, merge)) == merge.chunks
        else { return try giveUp(activation) }
        do {
            let target = try kernel.open(
                DeviceFinder.path(of: activation).path, .readWrite, exclusive: true)
            let loop =
                try kernel.loops(on: store).first?.number
                ?? stack.attachStore(activation, in: activation.mergingDirectory)
            try begin(activation, merge, on: loop, holding: target)
            try target.close()
        } catch {
            if SessionsError.from(error).exitStatus == .busy, try !isMerging(activation) {
                return try giveUp(activation)
            }
            throw error
        }
        return try registry.activation(activation.id)
    }

    func giveUp(_ activation: Activation) throws -> Activation {
        let changed = try forget(activation.id)
        try discardStore(changed)
        return changed
    }

    @discardableResult
    func forget(_ id: String) throws(SessionsError) -> Activation {
        try registry.change(id) { current throws(SessionsError) in
            if current.merge != nil { try current.abandonMerge() }
        }
    }

    /// After a boot: whether a merge goes on. Unlike an armed store its store *is* attached again: it
    /// was checked and on stable storage before it was used, and the kernel only takes from it.
    ///
    /// - Throws: where the store can't be used: without it the device would show contents that are
    ///   half the one and half the other.
    func goOn(_ activation: Activation) throws -> OnlineMerge? {
        guard let merge = activation.merge else {
            try discardStore(activation)
            return nil
        }
        try stack.detachStore(in: activation.mergingDirectory)
        let left: UInt64
        do {
            left = try chunksLeft(activation, merge)
        } catch {
            guard merge.isRunning else { return try giveUp(activation).merge }
            throw error
        }
        if !merge.isRunning, left == merge.chunks, try wasCaptured(activation) {
            // Nothing was merged, so the device was used as it was before.
            return try giveUp(activation).merge
        }
        guard left > 0 else {
            return try end(activation, left: 0).merge
        }
        // Entries that a torn write of an area left behind its end are back already.
        let descriptor = try OwnedDescriptor.open(
            Layout.store(in: activation.mergingDirectory), .readWrite)
        let contents = try StoreContents.read(
            descriptor, originSize: activation.size, expecting: ChunkSize(merge.chunkSize))
        try StorePreparation.clearStaleTail(descriptor, contents: contents)
        return merge
    }

    /// Whether the store of the last boot holds anything.
    private func wasCaptured(_ activation: Activation) throws -> Bool {
        if activation.session != nil { return true }
        guard Files.exists(Layout.store(in: activation.directory)) else {
            return try catalogue.session(ofStore: activation.store.number, of: activation) != nil
        }
        do {
            return try !catalogue.closedStore(
                in: activation.directory, originSize: activation.size,
                chunkSize: activation.chunkSize, session: activation.name.text
            ).exceptions.entries.isEmpty
        } catch {
            if case .damagedStore = error { return true }
            throw error
        }
    }

    /// Attaches the store of a merge that goes on after a boot.
    ///
    /// - Returns: the origin's table; nil if no merge goes on.
    func attachAgain(_ activation: Activation, undo: inout Undo) throws -> Target? {
        guard let merge = activation.merge else { return nil }
        let directory = activation.mergingDirectory
        undo.add("detaching the store that is merged") { [stack] in
            try stack.detachStore(in: directory)
        }
        let store = try stack.attachStore(activation, in: directory)
        return try table(activation, merge, on: store)
    }

    /// Takes the tables of a merge that the kernel has stopped away, so that it is begun again.
    ///
    /// - Returns: false if there is no such merge.
    func takeDownFailed(_ activation: Activation) throws -> Bool {
        guard let merge = activation.merge, try status(activation, merge) == .failed else {
            return false
        }
        guard try stack.isIdle(activation) else {
            try refuse(activation, "first unmount the device")
            return false
        }
        try stack.removeTables(activation)
        return true
    }
}

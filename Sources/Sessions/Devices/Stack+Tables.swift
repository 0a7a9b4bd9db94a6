import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// Tables: loaded, exchanged, taken away. The order of the steps is dm-snapshot's rule everywhere.
extension Stack {
    /// Loads both tables, or the origin's alone where there is no store; the origin's first resume comes
    /// last, when its snapshot is there, so that it splits bios at the snapshot's chunks and no write ever
    /// finds it without one.
    ///
    /// - Parameter merging: the origin's table while a store is merged into it.
    func loadTables(
        _ activation: Activation, source: DeviceNumber, store: DeviceNumber?,
        merging: Target? = nil
    ) throws {
        let name = try MapperNames.origin(activation)
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.create(
                name, uuid: MapperNames.originUUID(activation), in: transaction,
                visibility: .disk)
            let plain = Target.snapshotOrigin(
                SnapshotOriginTarget(origin: source), length: length(activation))
            try deviceMapper.load(name, [merging ?? plain], isReadOnly: false)
            if let store {
                // Whoever called this undoes it: waiting for udev may fail when all this has not.
                var undone = Undo()
                try loadSnapshot(
                    activation, store: activation.store.number, of: source, on: store,
                    in: transaction, undo: &undone)
                try resumeSnapshot(activation, store: activation.store.number, in: transaction)
            }
            try deviceMapper.resume(name, in: transaction, visibility: .disk)
        }
    }

    /// Makes the snapshot of store `number`, and loads its table. It captures nothing before it is
    /// resumed (`active` in drivers/md/dm-snap.c), so the origin may be running.
    ///
    /// The table is read-only: the kernel's copying doesn't ask for that, and everybody else who
    /// mounts or checks the snapshot to have a look can't write into the store.
    private func loadSnapshot(
        _ activation: Activation, store number: Int, of origin: DeviceNumber,
        on loop: DeviceNumber, in transaction: DeviceMapperTransaction, undo: inout Undo
    ) throws {
        let name = try MapperNames.snapshot(activation, store: number)
        let chunk = try chunkSize(activation).sectors
        try deviceMapper.create(
            name, uuid: MapperNames.snapshotUUID(activation, store: number), in: transaction,
            visibility: .hidden)
        undo.add("removing \(name)") { [deviceMapper] in
            try deviceMapper.remove(name, in: transaction)
        }
        try deviceMapper.load(
            name,
            [
                .snapshot(
                    SnapshotTarget(origin: origin, store: loop, chunk: chunk),
                    length: length(activation))
            ], isReadOnly: true)
    }

    /// From now on it captures. The origin is suspended, or has no live table yet: only its next
    /// resume makes it split large bios at this snapshot's chunks.
    private func resumeSnapshot(
        _ activation: Activation, store number: Int, in transaction: DeviceMapperTransaction
    ) throws {
        try deviceMapper.resume(
            MapperNames.snapshot(activation, store: number), in: transaction,
            visibility: .hidden)
    }

    /// What the device was when nobody used it, to be found unchanged inside the suspend.
    struct Quiet {
        /// How many programs had it open that only read.
        let readers: Int
        let status: SnapshotStatus?
        /// How many chunks the present store has kept.
        let held: UInt64?
        let writes: UInt64?
        let fingerprint: Fingerprint
    }

    /// How the device is now, as nobody uses it.
    func quiet(_ activation: Activation, readers: Int) throws -> Quiet {
        let number = try origin(activation)?.number
        // The count comes first: a write between it and the rest shows inside the suspend.
        let writes = number.flatMap { kernel.writesCompleted(of: $0) }
        let status = try status(activation, store: activation.store.number)
        // What the next store's session goes back to must outlive a power cut. Asked of the raw device:
        // the origin counts a flush as a write.
        try kernel.synchronize(source(activation).path)
        return Quiet(
            readers: readers, status: status,
            held: try status?.chunksTaken(chunk: chunkSize(activation).sectors),
            writes: writes,
            fingerprint: try kernel.look(
                FilePath(MapperNames.origin(activation).path), image: activation.image))
    }

    /// A store that is to take over, and what it is attached to.
    struct Successor {
        let number: Int
        let loop: DeviceNumber
    }

    /// What was written up to now is on the device before it is frozen. Not only for the time that this
    /// saves then: btrfs isn't frozen with its device, which the kernel looks for by `s_bdev` (freeze_bdev()
    /// in block/bdev.c) and btrfs leaves empty, and keeps what it hasn't committed yet in memory.
    func synchronizeFileSystem(of activation: Activation) throws {
        guard let number = try origin(activation)?.number else { return }
        for mount in try kernel.mounts(of: number) {
            do throws(SystemError) {
                try kernel.synchronizeFileSystem(of: FilePath(mount.target))
            } catch {
                // One that can't be reached from here, or a file's; there may be others.
                guard [.noSuchFileOrDirectory, .notDirectory].contains(error.errno) else {
                    throw error
                }
            }
        }
    }

    /// Where in a device's life the next store takes over.
    enum Boundary {
        /// Nobody uses the device, and it still is as it was when it was looked at.
        case quiet(Quiet)
        /// In the middle of its use, when the file system on it is frozen: what the device then is, and how
        /// many chunks the present store has, is written down before anything else.
        case frozen(note: (Fingerprint, UInt64?) throws -> Void)
    }

    /// The device isn't at the boundary.
    private struct Used: Error {}

    /// Puts the next store beside the present one and takes that away, in one suspend of the origin.
    /// What can be done before the suspend is.
    ///
    /// - Parameters:
    ///   - next: nil if nothing is to capture any more.
    ///   - completion: run as soon as it captures. Only then udev's answer is waited for: its rules take
    ///     longer than all the rest, and a mount that comes meanwhile is covered.
    /// - Returns: what `completion` did; nil if somebody had opened the device, had written to it, or holds
    ///   the snapshot's own device open, and all is as it was.
    /// - Throws: what failed. All that was done is undone then, unless the next store captures.
    func exchange<Outcome>(
        _ activation: Activation, next: Successor?, at boundary: Boundary,
        completion: () throws -> Outcome
    ) throws -> Outcome? {
        let origin = try MapperNames.origin(activation)
        let old = try MapperNames.snapshot(activation, store: activation.store.number)
        let source = try source(activation)
        let isFrozen = if case .frozen = boundary { true } else { false }
        do {
            return try deviceMapper.inTransaction { transaction in
                var undo = Undo()
                do {
                    if let next {
                        try loadSnapshot(
                            activation, store: next.number, of: source.number, on: next.loop,
                            in: transaction, undo: &undo)
                    }
                    try deviceMapper.whileSuspended(
                        origin, in: transaction, freezing: isFrozen
                    ) {
                        guard try deviceMapper.info(old)?.openCount ?? 0 == 0,
                            try has(activation, boundary, source.path)
                        else { throw Used() }
                        if let next {
                            try resumeSnapshot(activation, store: next.number, in: transaction)
                        }
                        do {
                            if try deviceMapper.info(old) != nil {
                                try deviceMapper.remove(old, in: transaction)
                            }
                        } catch {
                            throw undo.run(after: error)
                        }
                    }
                    return try completion()
                } catch {
                    throw undone(undo, after: error, activation, next: next?.number)
                }
            }
        } catch is Used {
            return nil
        }
    }

    /// Whether the suspended device is at the boundary.
    private func has(
        _ activation: Activation, _ boundary: Boundary, _ source: FilePath
    ) throws -> Bool {
        switch boundary {
        case .quiet(let before):
            // A mount that came since the look at the open count is covered by the store that is
            // there: its session simply goes on. One that came as a reader went, and has not written yet, is the next
            // store's from its beginning.
            guard let info = try origin(activation), info.openCount == before.readers,
                try status(activation, store: activation.store.number) == before.status
            else { return false }
            return try isUnwritten(info.number, source, since: before)
        case .frozen(let note):
            try kernel.synchronize(source)
            try note(
                kernel.fingerprint(source, samples: true),
                chunksTaken(activation, store: activation.store.number))
            return true
        }
    }

    /// Whether nobody has written through the origin since: the kernel counts. Where it doesn't
    /// (some do so on request), the places of superblocks are looked at again; the raw device isn't
    /// suspended, and has all that was written.
    private func isUnwritten(
        _ origin: DeviceNumber, _ source: FilePath, since before: Quiet
    ) throws -> Bool {
        let writes = kernel.writesCompleted(of: origin)
        guard writes == before.writes else { return false }
        if writes != nil { return true }
        return try kernel.fingerprint(source, samples: false)
            .differences(from: before.fingerprint).isEmpty
    }

    /// Undoes what `exchange` did, unless the next store captures (only the resume, or what follows it,
    /// failed): undoing would throw away what it holds. `recover` sees which, and goes on.
    private func undone(
        _ undo: consuming Undo, after error: any Error, _ activation: Activation, next: Int?
    ) -> any Error {
        guard let next, let new = (try? snapshot(activation, store: next)) ?? nil, !new.hasLiveTable
        else {
            return error
        }
        let failure = undo.run(after: error)
        if case .rollback = failure { return failure }
        return error
    }
}

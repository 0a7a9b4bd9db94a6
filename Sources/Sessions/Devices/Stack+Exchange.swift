import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// A store that takes over from another, in one suspend of the origin, or of several at the same instant.
extension Stack {
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

    /// A device whose store is exchanged.
    struct Handover {
        let activation: Activation
        /// Nil if nothing is to capture any more.
        let next: Successor?
        let boundary: Boundary
    }

    /// A device isn't at its boundary.
    private struct Used: Error {}

    /// Puts each next store beside the present one and takes that away, in one suspend of all the origins.
    /// What can be done before the suspend is.
    ///
    /// - Parameters:
    ///   - handovers: one, or several at the same instant, all with the same kind of boundary; those that a
    ///     file system is mounted from first, since to freeze it may take a write to another one.
    ///   - isTime: asked at that instant, when nothing can be written to any of them.
    ///   - completion: run as soon as they capture. Only then udev's answer is waited for: its rules take
    ///     longer than all the rest, and a mount that comes meanwhile is covered.
    /// - Returns: what `completion` did; nil if it wasn't time, or somebody had opened a device, had written to
    ///   it, or holds its snapshot's own device open, and all is as it was.
    /// - Throws: what failed. All that was done is undone then, but where the next store captures.
    func exchange<Outcome>(
        _ handovers: [Handover], isTime: () throws -> Bool = { true },
        completion: () throws -> Outcome
    ) throws -> Outcome? {
        let isFrozen = handovers.contains { if case .frozen = $0.boundary { true } else { false } }
        let parts = try handovers.map { handover in
            let source = try source(handover.activation)
            return (
                handover, origin: try MapperNames.origin(handover.activation),
                old: try MapperNames.snapshot(
                    handover.activation, store: handover.activation.store.number),
                source: source,
                found: isFrozen
                    ? try? kernel.fingerprint(source.path, samples: false).contents : nil
            )
        }
        do {
            return try deviceMapper.inTransaction { transaction in
                do {
                    for (handover, _, _, source, _) in parts {
                        guard let next = handover.next else { continue }
                        try loadSnapshot(
                            handover.activation, store: next.number, of: source.number,
                            on: next.loop, in: transaction)
                    }
                    try deviceMapper.whileSuspended(
                        parts.map(\.origin)[...], in: transaction, freezing: isFrozen
                    ) {
                        for (handover, _, old, source, found) in parts {
                            guard try deviceMapper.info(old)?.openCount ?? 0 == 0,
                                try has(
                                    handover.activation, handover.boundary, source.path, found)
                            else { throw Used() }
                        }
                        guard try isTime() else { throw Used() }
                        do {
                            for (handover, _, _, _, _) in parts {
                                guard let next = handover.next else { continue }
                                try resumeSnapshot(
                                    handover.activation, store: next.number, in: transaction)
                            }
                            for (_, _, old, _, _) in parts where try deviceMapper.info(old) != nil {
                                try deviceMapper.remove(old, in: transaction)
                            }
                        } catch {
                            throw withdrawn(handovers, in: transaction, after: error)
                        }
                    }
                    return try completion()
                } catch {
                    throw withdrawn(handovers, in: transaction, after: error)
                }
            }
        } catch is Used {
            return nil
        }
    }

    /// Takes the next stores away again, but for those that capture alone: undoing would throw away what they
    /// hold. `recover` sees which, and goes on.
    private func withdrawn(
        _ handovers: [Handover], in transaction: DeviceMapperTransaction, after error: any Error
    ) -> any Error {
        var undo = Undo()
        for handover in handovers {
            guard let next = handover.next else { continue }
            undo.add("removing the snapshot of \(handover.activation.name)'s next store") {
                guard try !capturesAlone(handover.activation, next: next.number),
                    try snapshot(handover.activation, store: next.number) != nil
                else { return }
                try deviceMapper.remove(
                    MapperNames.snapshot(handover.activation, store: next.number), in: transaction)
            }
        }
        let failure = undo.run(after: error)
        if case .rollback = failure { return failure }
        return error
    }

    /// Whether the next store has taken over.
    func capturesAlone(_ activation: Activation, next number: Int) throws -> Bool {
        try snapshot(activation, store: activation.store.number) == nil
            && snapshot(activation, store: number)?.hasLiveTable == true
    }

    /// Whether the suspended device is at the boundary.
    ///
    /// - Parameter expected: what was on it before the suspend.
    private func has(
        _ activation: Activation, _ boundary: Boundary, _ source: FilePath, _ expected: Contents?
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
                kernel.fingerprint(source, samples: true, expecting: expected),
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
}

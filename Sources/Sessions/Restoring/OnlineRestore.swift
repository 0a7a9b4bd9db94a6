import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
internal import Restore
import SystemPackage

/// `restore --online`: the kernel puts the old contents back while the device can be mounted already,
/// with the contents that it ends in.
///
/// The armed store stays where it is and keeps what merging overwrites. The sessions' own stores are
/// never merged, since merging uses a store up: their union is unpacked into one of its own.
extension SnapshotService {
    /// Has the kernel restore what was verified.
    ///
    /// - Parameters:
    ///   - target: the origin, open with the kernel's claim, so that nobody mounts it before it shows
    ///     the restored contents.
    func mergeOnline(
        _ activation: Activation, _ session: Session, _ verified: VerifiedPlan,
        holding target: borrowing OwnedDescriptor, _ control: RestoreControl
    ) throws -> RestoreReport {
        try refuseFullFileSystem(activation, verified, session)
        let directory = activation.mergingDirectory
        let store = Layout.store(in: directory)
        var undo = Undo()
        undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
        do {
            try Files.makeDirectory(directory.removingLastComponent())
            try Files.makeDirectory(directory)
            let file = try OwnedDescriptor.create(store)
            let unpacked: UnpackedStore
            do {
                unpacked = try verified.unpack(to: file, control: control)
            } catch {
                throw failure(error, session, path(of: activation))
            }
            try Files.synchronizeDirectory(directory)
            let merge = OnlineMerge(
                session: session.record.name, startedAt: kernel.now(), chunks: unpacked.chunks,
                chunkSize: unpacked.chunkSize.bytes, contents: session.record.baseline.contents,
                isRunning: false)
            undo.add("forgetting the restore") { try forgetMerge(activation.id) }
            let announced = try change(activation.id) { current in
                current.merge = merge
                current.restored = OnlineTrace(session: merge.session)
            }
            undo.add("detaching the store") { try detachStore(in: directory) }
            let loop = try kernel.attachLoop(store, sector: activation.sector)
            try beginMerge(announced, merge, on: loop.number, holding: target)
            return unpacked.report
        } catch {
            // The kernel is at it already (only udev's answer, or the last write of the registry,
            // failed), or nobody knows: `recover` sees which.
            if (try? isMerging(activation)) ?? true { throw error }
            throw undo.run(after: error)
        }
    }

    /// The store takes room as long as the restore runs, and what it overwrites is kept besides.
    ///
    /// A full file system would make invalid every store that is on it.
    private func refuseFullFileSystem(
        _ activation: Activation, _ verified: VerifiedPlan, _ session: Session
    ) throws {
        let needed = verified.plan.totals.bytes.multipliedReportingOverflow(by: 2)
        let space = try Files.freeSpace(activation.base)
        guard needed.overflow || space.free.bytes < needed.partialValue else { return }
        throw SessionsError.restoreFailed(
            session: session.record.name, device: path(of: activation),
            reason: "\(activation.base) has \(space.free.bytes) bytes free, and restoring online "
                + "needs \(needed.partialValue); make room there, or restore without --online")
    }

    /// Puts the merge in the origin's place, when nobody else has it open and nothing was written to
    /// it since its store was armed.
    func beginMerge(
        _ activation: Activation, _ merge: OnlineMerge, on loop: DeviceNumber,
        holding target: borrowing OwnedDescriptor
    ) throws {
        // udev probes what was opened for writing and closed, for some milliseconds.
        for attempt in 1...50 {
            if try loadMerge(activation, merge, on: loop, openers: 1) { break }
            guard attempt < 50 else {
                throw SessionsError.busy(
                    device: path(of: activation), reason: "a program has it open, or wrote to it",
                    advice: "find it with `fuser \(path(of: activation))` and end it, then restore")
            }
            kernel.pause(milliseconds: 100)
        }
        try change(activation.id) { $0.merge?.isRunning = true }
        // Whoever looked at it while it was held has left old contents in its page cache.
        if try FileStatus(target.path).kind == .blockDevice { try target.dropCache() }
    }

    /// - Returns: false if somebody else has the origin open or has written to it, and all is as it was.
    private func loadMerge(
        _ activation: Activation, _ merge: OnlineMerge, on loop: DeviceNumber, openers: Int
    ) throws -> Bool {
        struct Used: Error {}
        let origin = try MapperNames.origin(activation)
        let table = try mergeTable(activation, merge, on: loop)
        do {
            try deviceMapper.inTransaction { transaction in
                try deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                    guard try deviceMapper.info(origin)?.openCount == openers,
                        try isEmptyWhileLoaded(activation)
                    else { throw Used() }
                    try deviceMapper.load(origin, [table], isReadOnly: false)
                }
            }
            return true
        } catch is Used {
            return false
        }
    }

    /// The origin's table while a store is merged.
    func mergeTable(
        _ activation: Activation, _ merge: OnlineMerge, on loop: DeviceNumber
    ) throws -> Target {
        let chunk = SectorCount(merge.chunkSize.bytes / SectorCount.size)
        return .snapshotMerge(
            SnapshotMergeTarget(
                origin: try source(activation).number, store: loop, chunk: chunk),
            length: length(activation))
    }

    func forgetMerge(_ id: String) throws(SessionsError) {
        try change(id) { current in
            current.merge = nil
            current.restored = nil
        }
    }

    /// Refuses what must not come between a merge and its end.
    ///
    /// - Parameter advice: what to do afterwards: `then deactivate`.
    func refuseMerging(_ activation: Activation, _ advice: String) throws {
        guard let merge = try mergeProgress(activation) else { return }
        throw SessionsError.busy(
            device: path(of: activation),
            reason: merge.failure
                ?? "\(merge.percent) % of session \(merge.session) is back",
            advice: merge.failure == nil
                ? "wait for the rest (`dmsnap status` shows it), \(advice)" : advice)
    }
}

import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// Online restores: the kernel merges a store of its own into the device, which shows from the
/// beginning what it will be at the end.
///
/// What is here asks how far one is, and refuses what must not come between; begun, gone on with and
/// ended they are in files of their own.
struct Merger: Sendable {
    let registry: Registry
    let stack: Stack
    let catalogue: Catalogue

    var kernel: any Kernel { stack.kernel }

    /// Whether the origin's live table is a merge.
    func isMerging(_ activation: Activation) throws -> Bool {
        guard try stack.isLoaded(activation) else { return false }
        return try stack.deviceMapper.table(MapperNames.origin(activation)).first?.type
            == SnapshotMergeTarget.type
    }

    /// What the kernel says of the merge; nil if it isn't at it.
    func status(_ activation: Activation, _ merge: OnlineMerge) throws -> MergeStatus? {
        guard try stack.isLoaded(activation),
            let status = try stack.deviceMapper.status(MapperNames.origin(activation)).first,
            status.type == SnapshotMergeTarget.type
        else { return nil }
        guard let read = SnapshotStatus(line: status.parameters) else { return .failed }
        return MergeStatus(read, chunk: SectorCount(merge.chunkSize.bytes / SectorCount.size))
    }

    /// How far an online restore is; nil if none is under way.
    func progress(_ activation: Activation) throws(SessionsError) -> MergeProgress? {
        guard let merge = activation.merge else { return nil }
        return try asSessionsError {
            switch try status(activation, merge) {
            case .left(let chunks): return MergeProgress(merge, left: chunks)
            case .failed:
                // The kernel has stopped, so what the store's file says is so.
                return MergeProgress(
                    merge, left: try? chunksLeft(activation, merge),
                    failure: failure(
                        activation, merge,
                        "stopped at an I/O error, of \(activation.path) or of the store in "
                            + "\(activation.mergingDirectory); the device shows the restored "
                            + "contents all the same",
                        "mend what failed (dmesg tells), unmount the device"))
            case nil: break
            }
            do {
                return MergeProgress(merge, left: try chunksLeft(activation, merge))
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

    /// What the store in its file still has, all of its metadata checked. No table may use it.
    func chunksLeft(
        _ activation: Activation, _ merge: OnlineMerge
    ) throws(SessionsError) -> UInt64 {
        do {
            let store = try ClosedStore(
                path: Layout.store(in: activation.mergingDirectory), originSize: activation.size,
                expecting: ChunkSize(merge.chunkSize))
            return UInt64(store.exceptions.count)
        } catch {
            throw .unsuitable(
                device: activation.path.text,
                reason: failure(
                    activation, merge,
                    "can't go on: the store in \(activation.mergingDirectory): \(error)",
                    "put that back; or deactivate the device and restore the session again: "
                        + "otherwise"))
        }
    }

    /// The origin's table while a store is merged.
    func table(
        _ activation: Activation, _ merge: OnlineMerge, on loop: DeviceNumber
    ) throws -> Target {
        let chunk = SectorCount(merge.chunkSize.bytes / SectorCount.size)
        return .snapshotMerge(
            SnapshotMergeTarget(
                origin: try stack.source(activation).number, store: loop, chunk: chunk),
            length: stack.length(activation))
    }

    /// A merge that can go on is not to be lost: what it has not put back yet may be newer than any
    /// session.
    func refuseToLose(_ activation: Activation) throws {
        guard let merge = activation.merge else { return }
        if try stack.origin(activation) == nil {
            // Without its store it never goes on, and deactivating is the way out.
            guard let left = try? chunksLeft(activation, merge), left > 0 else { return }
            throw SessionsError.busy(
                device: activation.path.text,
                reason: "session \(merge.session) is being restored online, and not all is back",
                advice: "run `dmsnap assemble \(activation.path)`, wait for the rest, "
                    + "then deactivate")
        }
        try refuse(activation, "then deactivate")
    }

    /// Refuses what must not come between a merge and its end.
    ///
    /// - Parameter advice: what to do afterwards: `then deactivate`.
    func refuse(_ activation: Activation, _ advice: String) throws {
        guard let merge = try progress(activation) else { return }
        throw SessionsError.busy(
            device: DeviceFinder.path(of: activation).text,
            reason: merge.failure ?? "\(merge.percent) % of session \(merge.session) is back",
            advice: merge.failure == nil
                ? "wait for the rest (`dmsnap status` shows it), \(advice)" : advice)
    }

    /// Deletes the store of a merge that has ended, or never began.
    func discardStore(_ activation: Activation) throws {
        guard Files.exists(activation.mergingDirectory) else { return }
        try stack.detachStore(in: activation.mergingDirectory)
        try Files.removeDirectory(activation.mergingDirectory)
    }
}

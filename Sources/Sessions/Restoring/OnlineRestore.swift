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
extension Merger {
    /// Has the kernel restore what was verified.
    ///
    /// - Parameters:
    ///   - target: the origin, open: with the kernel's claim, so that nobody mounts it before it shows the
    ///     restored contents, or without, so that whoever mounts it keeps the restore from beginning.
    ///   - isToBase: whether it puts the device back by itself: then nobody who is faster is waited for.
    func restore(
        _ activation: Activation, _ session: Session, _ verified: VerifiedPlan,
        holding target: borrowing OwnedDescriptor, isToBase: Bool = false,
        _ control: RestoreControl
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
                throw error.failure(session, DeviceFinder.path(of: activation).text)
            }
            try Files.synchronizeDirectory(directory)
            let merge = OnlineMerge(
                session: session.record.name, startedAt: kernel.now(), chunks: unpacked.chunks,
                chunkSize: unpacked.chunkSize.bytes, contents: session.record.baseline.contents,
                isRunning: false)
            undo.add("forgetting the restore") { try forget(activation.id) }
            let announced = try registry.change(activation.id) { current throws(SessionsError) in
                guard current.session == nil else { throw used(activation) }
                try current.beginMerge(merge, isToBase: isToBase)
            }
            undo.add("detaching the store") { [stack] in try stack.detachStore(in: directory) }
            let loop = try stack.attachStore(activation, in: directory)
            try begin(
                announced, merge, on: loop, holding: target, patience: isToBase ? 3 : 50)
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
        let space = try kernel.freeSpace(activation.base.path.path)
        guard needed.overflow || space.free.bytes < needed.partialValue else { return }
        throw SessionsError.restoreFailed(
            session: session.record.name.text, device: DeviceFinder.path(of: activation).text,
            reason:
                "\(activation.base.path) has \(space.free.bytes) bytes free, and restoring online "
                + "needs \(needed.partialValue); make room there, or restore without --online")
    }

    /// Puts the merge in the origin's place, when nobody else has it open and nothing was written to
    /// it since its store was armed.
    func begin(
        _ activation: Activation, _ merge: OnlineMerge, on loop: DeviceNumber,
        holding target: borrowing OwnedDescriptor, patience: Int = 50
    ) throws {
        // udev probes what was opened for writing and closed, for some milliseconds.
        for attempt in 1...patience {
            if try loadMerge(activation, merge, on: loop, openers: 1) { break }
            guard attempt < patience else { throw used(activation) }
            kernel.pause(milliseconds: 100)
        }
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.runMerge()
        }
        // Whoever looked at it while it was held has left old contents in its page cache.
        if try FileStatus(target.path).kind == .blockDevice { try target.dropCache() }
        stack.renewFileSystem(of: activation)
    }

    private func used(_ activation: Activation) -> SessionsError {
        let path = DeviceFinder.path(of: activation)
        return .busy(
            device: path.text, reason: "a program has it open, or wrote to it",
            advice: "find it with `fuser \(path)` and end it, then restore")
    }

    /// - Returns: false if somebody else has the origin open or has written to it, and all is as it was.
    private func loadMerge(
        _ activation: Activation, _ merge: OnlineMerge, on loop: DeviceNumber, openers: Int
    ) throws -> Bool {
        struct Used: Error {}
        let origin = try MapperNames.origin(activation)
        let table = try table(activation, merge, on: loop)
        do {
            try stack.deviceMapper.inTransaction { transaction in
                try stack.deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                    guard try stack.deviceMapper.info(origin)?.openCount == openers,
                        try stack.isEmpty(activation)
                    else { throw Used() }
                    try stack.deviceMapper.load(origin, [table], isReadOnly: false)
                }
            }
            return true
        } catch is Used {
            return false
        }
    }
}

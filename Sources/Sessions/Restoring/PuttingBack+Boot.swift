import Block
import ExceptionStore
import Restore
import SystemPackage

/// After a boot.
extension PuttingBack {
    /// Of the store that is next, or there.
    private var directory: FilePath { activation.armedDirectory(activation.store.number) }

    /// Of a device whose last boot's stores are sessions, before it gets its tables.
    ///
    /// - Returns: the activation as it then is. A device that can't be put back is as it was left, or as far as a
    ///   write that failed had come; either way what it was is in its chain.
    /// - Throws: where it must not be assembled now, as what was kept is no session yet.
    func atBoot() throws -> Activation {
        var activation = activation
        let source = try stack.source(activation).path
        do {
            try restorer.kernel.refuseReadOnly(source)
        } catch {
            return try lifecycle.noteNotPutBack(activation.id, .from(error))
        }
        let device = try restorer.kernel.open(source, .readWrite, exclusive: true)
        let way: Way
        let verified: VerifiedPlan
        do {
            way = try self.way()
            verified = try restorer.verified(
                way.plan, for: device, way.session,
                RestoreRequest(session: way.session.record.name.text), RestoreControl())
            activation = try lifecycle.note(.begun, of: way.session, on: activation)
            try keepPresent(way, verified, device)
        } catch {
            guard !Files.exists(Layout.store(in: directory)) else { throw error }
            try registry.change(activation.id) { $0.forgetRestore() }
            return try lifecycle.noteNotPutBack(activation.id, .from(error))
        }
        let failure = write(way, verified, device)
        if failure == nil {
            activation = try lifecycle.note(.ended, of: way.session, on: activation)
        }
        try device.close()
        restorer.kernel.renewFileSystem(on: source)
        let now = try restorer.kernel.look(source, image: activation.image)
        let outcome = try lifecycle.close(
            activation, Ending(end: now))
        let next = Store(number: activation.store.number + 1, baseline: now)
        return try registry.change(activation.id) { current throws(SessionsError) in
            try current.rearm(next, after: outcome, merging: nil)
            if let failure {
                current.restorePolicy?.fail(failure)
            } else {
                current.restorePolicy?.settle(at: current.chain)
            }
        }
    }

    private func write(
        _ way: Way, _ verified: VerifiedPlan, _ device: borrowing OwnedDescriptor
    ) -> SessionsError? {
        do throws(RestoreError) {
            _ = try verified.apply(to: device, readBack: lifecycle.configuration.readsBack)
        } catch {
            return error.failure(way.session, path.text)
        }
        do {
            guard case .same = try restorer.proof(of: device.path, way.session) else {
                return differs(way.session.record.name)
            }
            return nil
        } catch {
            return .from(error)
        }
    }

    /// Keeps what is about to be overwritten in the store that is not under the device yet.
    private func keepPresent(
        _ way: Way, _ verified: VerifiedPlan, _ device: borrowing OwnedDescriptor
    ) throws {
        guard verified.unpackedChunks > 0 else { return }
        guard verified.unpackedChunkSize.bytes == activation.chunkSize else {
            throw SessionsError.internalFault(
                "\(activation.name) has sessions of other chunk sizes")
        }
        let needed = try StoreGeometry.bytesNeeded(
            originSize: ByteCount(way.plan.totals.bytes), chunkSize: verified.unpackedChunkSize)
        let base = activation.base.path
        if let room = lifecycle.room(in: base.path), room.spare < needed {
            throw SessionsError.restoreFailed(
                session: way.session.record.name.text, device: path.text,
                reason:
                    "what it overwrites is kept, which takes \(needed.bytes) bytes, and \(base) has "
                    + "\(room.spare.bytes) to spare; make room there")
        }
        let store = Layout.store(in: directory)
        // Whoever finds less than all of it finds nothing.
        let unfinished = store.appendingSuffix(".new")
        try Files.makeDirectory(directory)
        if Files.exists(unfinished) { try Files.remove(unfinished) }
        let file = try OwnedDescriptor.create(unfinished)
        do throws(RestoreError) {
            try verified.keep(device, in: file)
        } catch {
            try? Files.removeDirectory(directory)
            throw error.failure(way.session, path.text)
        }
        try Files.rename(unfinished, to: store)
        try Files.synchronizeDirectory(directory)
    }
}

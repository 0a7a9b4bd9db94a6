public import Block
public import ExceptionStore
internal import SystemPackage

/// A plan's contents as an exception store that the kernel can merge.
public struct UnpackedStore: Sendable {
    /// The smallest of the sources' chunk sizes.
    public let chunkSize: ChunkSize
    /// How many chunks it holds.
    public let chunks: UInt64
    /// How long what took; nothing was written to a target.
    public let report: RestoreReport
}

extension VerifiedPlan {
    /// The chunk size of the store that `unpack` makes: the smallest of the sources', so that every
    /// extent of the plan is whole chunks of it.
    public var unpackedChunkSize: ChunkSize {
        plan.sources.map(\.chunkSize).min() ?? .kernelDefault
    }

    /// How many chunks the store that `unpack` makes has.
    public var unpackedChunks: UInt64 {
        unpackedChunkSize.chunks(covering: ByteCount(plan.totals.bytes))
    }

    /// Writes what the plan puts back as an exception store; reads it again as one, and compares.
    ///
    /// - Parameters:
    ///   - store: A file that was just made.
    ///   - control: Events, and the wish to stop.
    /// - Throws: `source`, `changedSinceVerified`, `unpacking`, `unpackedDiffers`, `cancelled`.
    public func unpack(
        to store: consuming OwnedDescriptor, control: RestoreControl = RestoreControl()
    ) throws(RestoreError) -> UnpackedStore {
        let path = store.path
        var durations: [RestorePhase: Duration] = [.verifying: duration]
        let clock = ContinuousClock()
        let start = clock.now
        do {
            try fill(store) { writer throws(RestoreError.Reason) in
                try write(to: &writer, path, control)
            }
            durations[.writing] = start.duration(to: clock.now)
        } catch {
            throw RestoreError(error)
        }
        durations[.readingBack] = try readBack(path, control)
        return UnpackedStore(
            chunkSize: unpackedChunkSize, chunks: unpackedChunks,
            report: RestoreReport(
                totals: plan.totals, bytesWritten: 0, wasReadBack: true, damage: damage,
                durations: durations))
    }

    /// Makes an exception store of what `body` appends.
    private func fill(
        _ store: consuming OwnedDescriptor,
        _ body: (inout StoreWriter) throws(RestoreError.Reason) -> Void
    ) throws(RestoreError.Reason) {
        let path = store.path
        var writer: StoreWriter
        do {
            writer = try StoreWriter(
                store, chunkSize: unpackedChunkSize, exceptions: unpackedChunks)
        } catch {
            throw .unpacking(path, error)
        }
        try body(&writer)
        do {
            try writer.finish()
        } catch {
            throw .unpacking(path, error)
        }
    }

    private func write(
        to writer: inout StoreWriter, _ path: FilePath, _ control: RestoreControl
    ) throws(RestoreError.Reason) {
        let feed = verification.feed(plan, slots(), settings)
        defer { feed.stop() }
        var progress = control.begin(.writing, total: bytesToWrite)
        while case .ready(_, let slot, _) = feed.next(waits: true) {
            try progress.checkCancelled()
            try checkUnchanged(slot)
            try append(slot, to: &writer, path)
            let length = UInt64(slot.batch.writtenLength)
            feed.release(slot)
            progress.add(length)
        }
    }

    /// Writes what a target has now in the places that the plan puts back as an exception store: what undoes
    /// the plan. The store's file is on stable storage when it returns.
    ///
    /// - Parameters:
    ///   - target: the device; it is not written.
    ///   - store: a file that was just made.
    /// - Throws: `target`, `targetEnded`, `targetSizeDiffers`, `unpacking`.
    public func keep(
        _ target: borrowing OwnedDescriptor, in store: consuming OwnedDescriptor
    ) throws(RestoreError) {
        let path = store.path
        try plan.checkSize(of: target)
        do {
            try fill(store) { writer throws(RestoreError.Reason) in
                try read(target, RestoreControl()) { slot throws(RestoreError.Reason) in
                    try append(slot, to: &writer, path)
                }
            }
        } catch {
            throw RestoreError(error)
        }
    }

    private func append(
        _ slot: BatchSlot, to writer: inout StoreWriter, _ path: FilePath
    ) throws(RestoreError.Reason) {
        let memory = slot.requireMemory()
        var writes: [Batch.Write] = []
        slot.batch.forEachWrite(atMost: .max) { writes.append($0) }
        do throws(ExceptionStoreError) {
            for write in writes {
                try memory.use(write.slot) { bytes throws(ExceptionStoreError) in
                    try writer.append(bytes, at: write.range.lowerBound)
                }
            }
        } catch {
            throw .unpacking(path, error)
        }
    }

    /// The store as a source of its own has to make the same plan.
    private func readBack(
        _ path: FilePath, _ control: RestoreControl
    ) throws(RestoreError) -> Duration {
        let store: ClosedStore
        do {
            store = try ClosedStore(
                path: path, originSize: plan.originSize, expecting: unpackedChunkSize)
        } catch {
            throw RestoreError(.unpacking(path, error))
        }
        var control = control
        let report = control.report
        control.report = { progress in
            report(
                RestoreProgress(
                    phase: .readingBack, bytesDone: progress.bytesDone,
                    bytesTotal: progress.bytesTotal))
        }
        let other = try RestorePlan(sources: [store])
        let verified = try VerifiedPlan(other, options, settings, control)
        // Both are cut into batches by bytes alone, so equal bytes have equal checksums.
        guard UInt64(store.exceptions.count) == unpackedChunks,
            verified.verification.checksums == verification.checksums,
            plan.ranges == other.ranges
        else { throw RestoreError(.unpackedDiffers(path)) }
        return verified.duration
    }
}

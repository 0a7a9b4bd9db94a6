import Block
import DeviceMapper
import ExceptionStore
public import Restore
import SystemPackage

/// What a commit did.
public enum CommitOutcome: Sendable {
    /// Everything that its store has taken is on the device. `wasFull` says whether there was no room for more:
    /// what was written then has failed.
    case committed(RestoreReport, wasFull: Bool)
    /// Nothing was written over it.
    case nothingToDo
}

/// What was written over a device is written to it.
///
/// It is a restore from the overlay's own store: all of it is read and checked before the first write, and read
/// again from the device after the last. Until the store is given up the device shows the same with every part of
/// it written as with none, so a commit may die anywhere, and is gone on with by the same command.
extension Lifecycle {
    /// - Throws: `notActivated`; `unsuitable`; `busy` while somebody uses it; `damagedStore`; `commitFailed`:
    ///   then what was written over it is still there.
    func commit(
        _ device: String, control: RestoreControl
    ) throws(SessionsError) -> CommitOutcome {
        guard let found = try finder.find(device) else { throw .notActivated(device) }
        return try registry.operatingAlone(
            on: found.id, pause: { kernel.pause(milliseconds: 100) }
        ) { current in
            let activation = try requireOverlay(recover(current), device)
            try requireAssembled(activation, "then commit")
            try refuseOpen(activation, "commit")
            try finder.requireBase(activation)
            if try holdsNothing(activation) { return .nothingToDo }
            return try write(activation, control)
        }
    }

    private func write(_ activation: Activation, _ control: RestoreControl) throws -> CommitOutcome
    {
        try refuseMemory(activation)
        let path = DeviceFinder.path(of: activation)
        let source = try stack.source(activation)
        try kernel.refuseReadOnly(source.path)
        try refuseChangedBeneath(activation, source.path)
        let hold = try hold(activation, .readOnly, "commit")
        let wasFull = try stack.isFull(activation, store: activation.store.number)
        let verified = try verify(activation, control)
        let target = try kernel.open(source.path, .readWrite, exclusive: false)
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginCommit()
        }
        let outcome: CommitOutcome
        do {
            let report = try verified.apply(
                to: target, readBack: configuration.readsBack, control: control)
            outcome = .committed(report, wasFull: wasFull)
        } catch {
            throw failure(error, path)
        }
        try target.close()
        // With all of it on the device, the device without its overlay has to look as with it.
        let now = try kernel.look(source.path, image: activation.image)
        let shown = try kernel.fingerprint(path.path, samples: true)
        guard shown.differences(from: now).isEmpty else {
            throw SessionsError.commitFailed(
                device: path.text,
                reason:
                    "all of it was written and read again, and yet the device differs: something else "
                    + "writes to \(source.path)")
        }
        let next = Store(number: activation.store.number + 1, baseline: now)
        let committed = try registry.change(activation.id) { current throws(SessionsError) in
            try current.endCommit(for: next)
        }
        try hold.close()
        for _ in 0..<50 {
            if try exchangeOverlay(committed, for: next) { return outcome }
            // udev probes what was closed just now. What somebody writes who mounted it goes into the store that
            // is there, over what is on the device already.
            if try !stack.isIdle(committed) { return outcome }
            try registry.change(activation.id) { current throws(SessionsError) in
                try current.beginDiscard(for: next)
            }
        }
        return outcome
    }

    /// Cut short by a power cut it could not be gone on with: half of it would be on the device, and the other half
    /// nowhere.
    private func refuseMemory(_ activation: Activation) throws {
        guard activation.isInMemory == true else { return }
        throw SessionsError.unsuitable(
            device: activation.path.text,
            reason:
                "its store is in memory, and a power cut in the middle of a commit would leave part of it on the "
                + "device and the rest nowhere; discard it, deactivate the device, and do what is to stay "
                + "under an overlay with its store on a disk")
    }

    private func refuseChangedBeneath(_ activation: Activation, _ source: FilePath) throws {
        guard activation.state.overlay?.isCommitting == false else { return }
        let now = try kernel.look(source, image: activation.image)
        guard !now.agrees(with: activation.store.baseline) else { return }
        throw SessionsError.unsuitable(
            device: activation.path.text,
            reason:
                "something wrote to it under its overlay, and what was written over it doesn't fit any "
                + "more; `dmsnap discard \(activation.path)` gives that up")
    }

    /// Everything that the store holds, read and checked. Nobody writes to the device meanwhile, and the kernel
    /// has written down every exception before the write it was for ended.
    private func verify(
        _ activation: Activation, _ control: RestoreControl
    ) throws -> VerifiedPlan {
        let store = try catalogue.closedStore(
            in: activation.armedDirectory(activation.store.number), originSize: activation.size,
            chunkSize: activation.chunkSize, session: activation.name.text)
        // One that was full doesn't say how many it has; what was written then failed.
        let taken = try stack.chunksTaken(activation, store: activation.store.number)
        if let taken {
            try store.require(taken, of: "what was written over \(activation.path)")
        }
        do throws(RestoreError) {
            return try RestorePlan(sources: [store]).verify(
                options: RestoreOptions(skipDamaged: false), control: control)
        } catch {
            throw failure(error, DeviceFinder.path(of: activation))
        }
    }

    private func failure(_ error: RestoreError, _ device: ByteText) -> SessionsError {
        let isStopped = if case .cancelled = error.reason { true } else { false }
        return .commitFailed(
            device: device.text,
            reason: isStopped
                ? "it was stopped (\(error)); the device shows all of it as before, and the same command "
                    + "completes it"
                : "\(error)")
    }
}

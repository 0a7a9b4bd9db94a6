import Block
import DeviceMapper
import ExceptionStore
public import Restore
import SystemPackage

/// What a commit did.
public enum CommitOutcome: Sendable {
    /// Everything that was written over the device is on it.
    case committed(RestoreReport)
    /// Nothing was written over it.
    case nothingToDo
}

/// What was written over a device is written to it.
///
/// It is a restore from the overlay's own store: all of it is read and checked before the first write, and read
/// again from the device after the last. Until the store is given up the device shows the same with every part of
/// it written as with none, so a commit may die anywhere, and is gone on with by the same command.
extension Lifecycle {
    /// - Throws: `notActivated`; `unsuitable`; `busy` while somebody uses it; `damagedStore`, `restoreFailed`,
    ///   `interrupted`: then what was written over it is still there.
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
            return .committed(try write(activation, control))
        }
    }

    private func write(_ activation: Activation, _ control: RestoreControl) throws -> RestoreReport
    {
        let path = DeviceFinder.path(of: activation)
        let source = try stack.source(activation)
        // Device-mapper would write to a disk that was set read-only all the same, and so would we.
        if try kernel.blockDevice(source.path).isReadOnly {
            throw SessionsError.unsuitable(
                device: source.path.string,
                reason: "it is set read-only; run `blockdev --setrw` on it to have it written")
        }
        try refuseChangedBeneath(activation, source.path)
        // The kernel's claim keeps everybody from mounting it meanwhile.
        let hold = try hold(activation)
        let verified = try verify(activation, control)
        let target = try kernel.open(source.path, .readWrite, exclusive: false)
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginCommit()
        }
        let report: RestoreReport
        do {
            report = try verified.apply(
                to: target, readBack: configuration.readsBack, control: control)
        } catch {
            throw failure(error, path)
        }
        try target.close()
        // With all of it on the device, the device without its overlay has to look as with it.
        let now = try kernel.look(source.path, image: activation.image)
        let shown = try kernel.fingerprint(path.path, samples: true)
        guard shown.differences(from: now).isEmpty else {
            throw SessionsError.restoreFailed(
                session: "what was written over it", device: path.text,
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
            if try exchangeOverlay(committed, for: next) { return report }
            // udev probes what was closed just now. What somebody writes who mounted it goes into the store that
            // is there, over what is on the device already.
            if try !stack.isIdle(committed) { return report }
            try registry.change(activation.id) { current throws(SessionsError) in
                try current.beginDiscard(for: next)
            }
        }
        return report
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

    private func hold(_ activation: Activation) throws -> OwnedDescriptor {
        let path = DeviceFinder.path(of: activation)
        do {
            return try kernel.open(path.path, .readOnly, exclusive: true)
        } catch {
            guard error.errno == .resourceBusy else { throw error }
            throw busy(activation, "something uses it", "commit")
        }
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
        guard taken ?? UInt64(store.exceptions.count) == UInt64(store.exceptions.count) else {
            throw SessionsError.damagedStore(
                session: "what was written over \(activation.path)",
                reason: "the kernel has another number of chunks in its store than its file")
        }
        do throws(RestoreError) {
            return try RestorePlan(sources: [store]).verify(
                options: RestoreOptions(skipDamaged: false), control: control)
        } catch {
            throw failure(error, DeviceFinder.path(of: activation))
        }
    }

    private func failure(_ error: RestoreError, _ device: ByteText) -> SessionsError {
        let what = "what was written over it"
        switch error.reason {
        case .cancelled:
            return .interrupted(
                session: what, device: device.text, detail: "\(error)",
                advice: "the device shows all of it as before, and the same command completes it")
        default:
            return .restoreFailed(session: what, device: device.text, reason: "\(error)")
        }
    }
}

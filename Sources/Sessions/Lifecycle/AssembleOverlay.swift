import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// What is to become of what was written over a device.
enum OverlayWish {
    case givenUp, kept
}

/// A device under an overlay, after a boot.
extension Lifecycle {
    /// Puts a device under an overlay together again: with what was written over it, or, where that is to go at
    /// a boot, or was about to go, without.
    ///
    /// - Throws: where what was written can't be shown as it was.
    /// - Parameter wish: what is to become of what was written, where it isn't what the device's policy says.
    func assembleOverlay(
        _ current: Activation, _ wish: OverlayWish? = nil
    ) throws -> AssemblyOutcome {
        var current = current
        switch try stack.condition(current) {
        case .absent: break
        case .live:
            _ = try recover(current)
            return .alreadyAssembled
        case .dead(let reason):
            guard try finder.locate(current) != nil else { return .notThere }
            guard try stack.isIdle(current) else {
                throw busy(current, "\(reason), and what was over it is still in use", "assemble")
            }
            try stack.removeTables(current)
            try stack.detach(current.store, in: current.directory)
        }
        try remakeMemory(of: current)
        guard let located = try findParts(of: current) else { return .notThere }
        current = located
        let source = try stack.source(current)
        // A crash of the kernel alone leaves writes in the disk's cache.
        try kernel.synchronize(source.path)
        let now = try kernel.look(source.path, image: current.image)
        var undo = Undo()
        do {
            if let next = try dueAfterBoot(current, now, wish) {
                current = try registry.activation(current.id)
                // What a crash has left of it is of an earlier try.
                let directory = current.armedDirectory(next.number)
                try stack.detach(next, in: directory)
                undo.add("detaching the new store") { [stack] in
                    try stack.detachStore(in: directory)
                }
                let loop = try makeOverlayStore(current, next.number)
                undo.add("removing the table") { [stack] in try stack.removeTables(current) }
                try stack.loadOverlay(current, source: source.number, store: loop)
                try endDiscard(registry.activation(current.id))
            } else {
                try requireWhole(current, now)
                let directory = current.armedDirectory(current.store.number)
                // A try that was cut short may have attached it.
                try stack.detach(current.store, in: directory)
                undo.add("detaching the store") { [stack] in
                    try stack.detachStore(in: directory)
                }
                let loop = try stack.attachStore(current, in: directory)
                undo.add("removing the table") { [stack] in try stack.removeTables(current) }
                try stack.loadOverlay(current, source: source.number, store: loop)
            }
        } catch {
            throw undo.run(after: error)
        }
        // The raw device was kept from everybody; now its rules may give it its links.
        try kernel.trigger(source.number)
        return .assembled(interrupted: nil)
    }

    /// The empty store that follows, as the registry then has it; nil where what was written stays.
    private func dueAfterBoot(
        _ activation: Activation, _ now: Fingerprint, _ wish: OverlayWish?
    ) throws -> Store? {
        switch activation.state {
        case .discarding(_, let next): return next
        case .overlay(let overlay) where overlay.isCommitting:
            if wish == .givenUp { throw halfCommitted(activation, "discard") }
            return nil
        default: break
        }
        let isGivenUp = wish.map { $0 == .givenUp } ?? (activation.restoreAt != .never)
        guard isGivenUp else { return nil }
        let next = successor(of: activation, over: now)
        try registry.change(activation.id) { current throws(SessionsError) in
            try current.beginDiscard(for: next)
        }
        return next
    }

    /// Whether what was written can be shown over the device: the store is whole, and the device what it was
    /// written over.
    ///
    /// The store of the last boot *is* attached again, unlike one that captured: nothing else has it.
    private func requireWhole(_ activation: Activation, _ now: Fingerprint) throws {
        let advice = "`dmsnap discard \(activation.path)` gives up what was written over it"
        let directory = activation.armedDirectory(activation.store.number)
        let path = Layout.store(in: directory)
        guard Files.exists(path) else {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "its store \(path) isn't there; put it back, or \(advice)")
        }
        if activation.state.overlay?.isCommitting == false,
            !now.agrees(with: activation.store.baseline)
        {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason:
                    "something wrote to it while it was not assembled, and what was written over it "
                    + "doesn't fit any more; \(advice)")
        }
        let contents: StoreContents
        let descriptor = try OwnedDescriptor.open(path, .readWrite)
        do {
            contents = try StoreContents.read(
                descriptor, originSize: activation.size,
                expecting: ChunkSize(activation.chunkSize))
        } catch {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "its store \(path) is damaged: \(error); \(advice)")
        }
        // Entries that a torn write of an area left behind its end were never told of.
        try StorePreparation.clearStaleTail(descriptor, contents: contents)
        let file = FileIdentity(try FileStatus(path))
        try registry.change(activation.id) { $0.store.file = file }
    }
}

public import Block
import DeviceMapper
import ExceptionStore
internal import FoundationEssentials
internal import SystemPackage

/// What the monitor looks at and decides by: one activation and how the kernel has it now.
public struct Watched: Sendable {
    /// The activation, as registered.
    public let activation: Activation
    /// The origin's number, for its events.
    public let number: DeviceNumber
    /// Mounts anywhere, swap, devices built on it.
    public let uses: [DeviceUse]
    /// Everybody who has it open.
    public let openCount: Int
    /// The present store's status; nil if its snapshot isn't loaded.
    public let usage: StoreUsage?
    /// The online restore that is under way.
    public let merge: MergeProgress?
    /// Whether what is written through the origin never shows as a write to the device's node or file:
    /// on a disk, and through a loop device that does direct I/O.
    public let isWrittenDirectly: Bool
    /// Why the present store is not what the kernel writes to, or the device's size another than it
    /// was; nil where all is well.
    public let fault: Fault?

    /// What is seen to be wrong.
    public enum Fault: Hashable, Sendable {
        /// The store's file is gone, or another: the session is lost.
        case store(String)
        /// The device has another size: what is beyond is captured by nobody.
        case size(String)
    }
}

/// How full the present store is.
public enum StoreUsage: Hashable, Sendable {
    /// Bytes taken and there, and the chunks among them.
    case taken(ByteCount, of: ByteCount, chunks: UInt64)
    /// The kernel has dropped it.
    case invalid
}

/// The monitor's view of the domain.
public struct Observer: Sendable {
    let lifecycle: Lifecycle

    private var registry: Registry { lifecycle.registry }
    private var stack: Stack { lifecycle.stack }
    private var kernel: any Kernel { lifecycle.kernel }

    /// Every active activation whose tables are loaded.
    public func watched() throws(SessionsError) -> [Watched] {
        var found: [Watched] = []
        for activation in try registry.activations() where activation.state.isActive {
            if let one = try watch(activation) { found.append(one) }
        }
        return found
    }

    private func watch(_ activation: Activation) throws(SessionsError) -> Watched? {
        guard let info = try stack.origin(activation), info.hasLiveTable else { return nil }
        let source = (try? stack.loadedSource(activation)) ?? nil
        return Watched(
            activation: activation, number: info.number,
            uses: info.openCount == 0 ? [] : try stack.uses(of: info.number),
            openCount: info.openCount, usage: try usage(activation),
            merge: try lifecycle.merger.progress(activation),
            isWrittenDirectly: activation.kind == .block
                || source.map { kernel.isDirect(loop: $0) } ?? false,
            fault: fault(activation, source))
    }

    private func usage(_ activation: Activation) throws(SessionsError) -> StoreUsage? {
        let chunk = try stack.chunkSize(activation).sectors
        switch try stack.status(activation, store: activation.store.number) {
        case nil, .unknown: return nil
        case .usage(let allocated, let total, let metadata):
            let status = SnapshotStatus.usage(
                allocated: allocated, total: total, metadata: metadata)
            return .taken(
                allocated.bytes ?? ByteCount(0), of: total.bytes ?? ByteCount(0),
                chunks: status.chunksTaken(chunk: chunk) ?? 0)
        case .overflow:
            let limit = try? FileStatus(
                Layout.store(in: activation.armedDirectory(activation.store.number))
            ).size
            return .taken(limit ?? ByteCount(1), of: limit ?? ByteCount(1), chunks: 1)
        case .invalid, .mergeFailed: return .invalid
        }
    }

    private func fault(_ activation: Activation, _ source: DeviceNumber?) -> Watched.Fault? {
        if let fault = lifecycle.storeFault(activation) { return .store(fault) }
        guard let source, let size = kernel.size(of: source), size != activation.size
        else { return nil }
        // A disk that was pulled out has none, until its tables are gone: it is missing, and hasn't shrunk.
        if activation.kind == .block, size.bytes == 0 { return nil }
        return .size(
            "its size is \(size.bytes) bytes now and was \(activation.size.bytes): what is beyond "
                + "is captured by nobody")
    }

    /// Keeps, on disk, that the present store has missed writes or is gone.
    ///
    /// - Parameter store: the one that was seen; another may have taken over since.
    public func markInvalid(
        _ id: String, store: Int, _ reason: String
    ) throws(SessionsError) {
        guard let now = try registry.read()[id: id], now.store.number == store else { return }
        try lifecycle.invalidate(now, reason)
    }

    /// Lets go of a store that has missed writes, or that has to go for want of room, and of what it
    /// takes.
    ///
    /// - Returns: whether that was done; not while somebody works on the activation.
    public func giveUp(_ watched: Watched, _ reason: String) throws(SessionsError) -> Bool {
        try lifecycle.giveUp(
            watched.activation.id, store: watched.activation.store.number, reason)
    }

    /// What is free where its store lies; nil where nobody can tell.
    public func room(_ watched: Watched) -> Room? {
        lifecycle.room(in: watched.activation.base.path.path)
    }

    /// Looks at a store again that seemed to be gone or another, while nobody renames it, and keeps, on
    /// disk, that it is lost if it is.
    ///
    /// - Returns: why it is lost; nil if it isn't, or that was known.
    public func markLost(_ id: String) throws(SessionsError) -> String? {
        try lifecycle.markLost(id)
    }

    /// Looks again at a store whose snapshot seemed to be gone, while nobody works on the activation, and
    /// keeps, on disk, that it is lost if it is.
    ///
    /// - Returns: whether that is new.
    public func markTakenAway(_ watched: Watched) throws(SessionsError) -> Bool {
        try lifecycle.markTakenAway(watched.activation.id)
    }

    /// Keeps, on disk, when the file system of an open session says that it was checked.
    public func noteCheck(_ watched: Watched) throws(SessionsError) {
        try lifecycle.noteCheck(watched.activation)
    }

    /// Keeps, on disk, that somebody wrote to the device past its origin: sessions before can't be
    /// restored through that.
    public func markBroken(_ id: String, _ reason: String) throws(SessionsError) {
        try lifecycle.breach(id, reason)
    }

    /// What else activated devices are in use as, by their activations' IDs: loop devices over an image
    /// besides our own, and other paths to a disk. What is written there escapes.
    public func otherWays(_ all: [Watched]) -> [String: String] {
        var found: [String: String] = [:]
        for one in all {
            if let loop = otherLoop(one) { found[one.activation.id] = loop }
        }
        let marked = all.map(\.activation).filter { $0.kind == .block && $0.identity.isMarked }
        guard !marked.isEmpty else { return found }
        for path in kernel.blockDevices() {
            guard let number = try? kernel.status(path).deviceNumber,
                let size = kernel.size(of: number)
            else { continue }
            let same = marked.filter { $0.size == size }
            guard !same.isEmpty, let uses = try? stack.uses(of: number), !uses.isEmpty else {
                continue
            }
            for activation in same
            where lifecycle.finder.isOtherPath(path, to: activation, isUsed: true) {
                found[activation.id] = path.string
            }
        }
        return found
    }

    private func otherLoop(_ watched: Watched) -> String? {
        guard watched.activation.kind == .image,
            let loops = try? kernel.loops(on: watched.activation.path.path), loops.count > 1,
            let own = try? stack.loadedSource(watched.activation)
        else { return nil }
        return loops.first { $0.number != own }?.path.string
    }

    /// Tells udev, and whoever's rules match it, of a mount (`opened`) or its end (`closed`).
    public func announce(_ watched: Watched, _ word: String) throws(SessionsError) {
        do {
            try kernel.announce(watched.number, word)
        } catch {
            throw .system(error)
        }
    }

    /// Opens a session as the rule would, where the rule did not.
    public func openSession(_ watched: Watched) throws(SessionsError) -> OpeningOutcome {
        try lifecycle.openSession(watched.activation.id, use: watched.uses.first)
    }

    /// Runs `body` under the registry's lock if nothing is activated nor to be, so that nothing can be
    /// activated before it has run.
    ///
    /// - Returns: whether it ran.
    public func ifNothingIsActivated(_ body: () -> Void) throws(SessionsError) -> Bool {
        // Looked at without the lock first: it is asked after every event.
        guard try registry.read().isIdle,
            (try? Configuration(reading: registry.layout).devices.isEmpty) != false
        else { return false }
        return try registry.update { document in
            guard document.isIdle else { return false }
            body()
            return true
        }
    }
}

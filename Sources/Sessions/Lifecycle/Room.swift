import Block
import SystemPackage

/// What is free where stores lie, and what is kept free for everybody else, at one look.
public struct Room: Sendable {
    let base: FilePath
    let free: ByteCount
    let size: ByteCount
    let reserve: ByteCount

    /// What is free beyond what is kept for others.
    var spare: ByteCount { ByteCount(free.bytes - min(free.bytes, reserve.bytes)) }

    /// Why no new store is made: less is free than is kept for others; nil if there is room.
    public var shortage: String? {
        guard free < reserve else { return nil }
        return
            "\(free.bytes) bytes are free in the file system of \(base), and \(reserve.bytes) "
            + "are kept for others (store.reserve in the configuration)"
    }

    /// Why a store that captures has to go, while its session runs: half of what is kept for others is
    /// gone, and nobody stops it. nil if it can stay.
    public var emergency: String? {
        guard let shortage, free.bytes < reserve.bytes / 2 else { return nil }
        return "its store was given up, since \(shortage)"
    }

    /// How full the file system is, 0 to 100.
    public var percent: Int {
        size.bytes == 0 ? 0 : Int(100 - min(100, free.bytes * 100 / size.bytes))
    }
}

/// Stores that have to go, or can't come, for want of room.
extension Lifecycle {
    /// Looks at a sessions' directory; nil where nobody can tell.
    func room(in base: FilePath) -> Room? {
        guard let space = try? kernel.freeSpace(base) else { return nil }
        return Room(
            base: base, free: space.free, size: space.size,
            reserve: configuration.reserve(of: space.size))
    }

    /// Lets go of the present store under a running session, which is lost, and of what it takes. The
    /// device goes on, and nothing is captured before the next exchange.
    ///
    /// - Returns: whether that was done; not while somebody works on the activation.
    func giveUp(_ id: String, store: Int, _ reason: String) throws(SessionsError) -> Bool {
        try asSessionsError {
            try registry.operatingIfFree(on: id) { activation in
                guard activation.store.number == store else { return false }
                switch activation.state {
                case .armed, .open: break
                case .activating, .exchanging, .merging, .deactivating: return false
                // What was written is nowhere else.
                case .overlay, .discarding, .uncovering: return false
                }
                try giveUpStore(invalidate(activation, reason))
                return true
            } ?? false
        }
    }

    /// Takes away an invalid store, and frees what it holds.
    ///
    /// It misses writes, so nothing can be restored from it; and it may be what fills the file system
    /// that the next store needs.
    func giveUpStore(_ activation: Activation) throws {
        try stack.dropSnapshot(activation, store: activation.store.number)
        let path = Layout.store(in: activation.directory)
        // A view attaches it to be read only, and made shorter it would show zeros: what it takes then
        // goes with the session.
        let isLookedInto =
            try Files.exists(path) && kernel.loops(on: path).contains(where: \.isReadOnly)
        try stack.detach(activation.store, in: activation.directory)
        guard Files.exists(path), !isLookedInto else { return }
        try OwnedDescriptor.open(path, .readWrite).resize(to: ByteCount(0))
    }
}

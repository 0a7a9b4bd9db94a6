import Block
import SystemPackage

/// Room for stores: what is free where they lie, and what is kept free of them.
extension Lifecycle {
    /// Why no new store is made in a directory: less is free than is kept for everybody else. nil if
    /// there is room, or nobody can tell.
    func shortage(in base: FilePath) -> String? {
        guard let space = try? kernel.freeSpace(base) else { return nil }
        let reserve = configuration.reserve(of: space.size)
        guard space.free < reserve else { return nil }
        return
            "\(space.free.bytes) bytes are free in the file system of \(base), and \(reserve.bytes) "
            + "are kept for others (store.reserve in the configuration)"
    }

    /// Why a store that captures has to go, while its session runs: half of what is kept for others is
    /// gone, and nobody stops it.
    func emergency(_ activation: Activation) -> String? {
        guard let space = try? kernel.freeSpace(activation.base.path.path),
            space.free.bytes < configuration.reserve(of: space.size).bytes / 2
        else { return nil }
        return "its store was given up, since \(shortage(in: activation.base.path.path) ?? "")"
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
        try stack.detach(activation.store, in: activation.directory)
        let path = Layout.store(in: activation.directory)
        guard Files.exists(path) else { return }
        try OwnedDescriptor.open(path, .readWrite).resize(to: ByteCount(0))
    }
}

import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// Store files: made, attached to loop devices, detached.
extension Stack {
    /// Makes an empty store in a directory of its own; one that is there already is made anew.
    ///
    /// The file is sparse and can hold every chunk of the origin, unless that is over the limit. What the kernel reads first is
    /// zeroed and synced: it writes a fresh store's header without a flush, and a cut there must
    /// not leave a header over what would read as entries.
    func makeStore(
        _ activation: Activation, _ number: Int, limit: Share?
    ) throws(SessionsError) -> FileIdentity {
        try asSessionsError {
            try refuseOwnFileSystem(activation)
            let directory = activation.armedDirectory(number)
            try Files.makeDirectory(directory)
            let path = Layout.store(in: directory)
            if Files.exists(path) { try Files.remove(path) }
            let chunk = try chunkSize(activation)
            let file = try OwnedDescriptor.create(path)
            try file.resize(to: storeSize(activation, chunk, limit: limit))
            try StorePreparation.prepareFresh(file, chunkSize: chunk)
            try file.close()
            try Files.synchronizeDirectory(directory)
            try Files.synchronizeDirectory(directory.removingLastComponent())
            return FileIdentity(try FileStatus(path))
        }
    }

    private func storeSize(
        _ activation: Activation, _ chunk: ChunkSize, limit: Share?
    ) throws(ExceptionStoreError) -> ByteCount {
        let needed = try StoreGeometry.bytesNeeded(originSize: activation.size, chunkSize: chunk)
        guard let limit = limit?.of(activation.size), limit < needed else { return needed }
        let fewest = ByteCount(StoreGeometry.fewestChunks * chunk.bytes.bytes)
        return try StoreGeometry.largestSize(notOver: max(limit, fewest), chunkSize: chunk)
    }

    /// A store on the origin's own file system would wait for itself.
    private func refuseOwnFileSystem(_ activation: Activation) throws {
        guard let origin = try origin(activation) else { return }
        let base = activation.base.path
        if kernel.foundations(ofDirectory: base.path).contains(origin.number) {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "the sessions' directory \(base) is on this very device; "
                    + "unmount it there, or activate with another --store-dir")
        }
    }

    /// Attaches the store in a directory to a loop device.
    func attachStore(_ activation: Activation, in directory: FilePath) throws -> DeviceNumber {
        try kernel.attachLoop(Layout.store(in: directory), sector: activation.sector).number
    }

    /// Detaches whatever loop devices the store in a directory is attached to.
    func detachStore(in directory: FilePath) throws(SessionsError) {
        try asSessionsError {
            let store = Layout.store(in: directory)
            guard Files.exists(store) else { return }
            for loop in try kernel.loops(on: store) { try kernel.detachLoop(loop.path) }
        }
    }

    /// Detaches whatever loop devices a store is attached to, though its file may have no name any
    /// more, or another file has it.
    func detach(_ store: Store, in directory: FilePath) throws(SessionsError) {
        try detachStore(in: directory)
        guard let file = store.file else { return }
        try asSessionsError {
            let loops = try kernel.loops(onInode: file.inode, fileSystem: file.fileSystem)
            for loop in loops { try kernel.detachLoop(loop.path) }
        }
    }

    /// Why the file that has a capturing store's name isn't the one that the kernel writes to; nil if
    /// it is.
    func storeFault(_ store: Store, in directory: FilePath) -> String? {
        guard let file = store.file else { return nil }
        let path = Layout.store(in: directory)
        guard let status = try? FileStatus(path) else {
            return "its store \(path) was deleted, or something was mounted over it"
        }
        guard FileIdentity(status) == file else {
            return "its store \(path) is another file than the one that captures: it was replaced, "
                + "or something was mounted over it"
        }
        return nil
    }

    /// Attaches an activated image to a loop device, unless it is.
    func attachImage(_ activation: Activation) throws {
        let path = activation.path.path
        if try !kernel.loops(on: path).contains(where: \.isWhole) {
            _ = try kernel.attachLoop(path, sector: activation.sector)
        }
    }

    /// Detaches an image from the loop device that the origin lay over.
    ///
    /// - Parameter source: that device, if somebody still knew it.
    func detachImage(_ activation: Activation, source: FilePath?) throws {
        guard activation.kind == .image else { return }
        if let source {
            try kernel.detachLoop(source)
        } else if Files.exists(activation.path.path) {
            // Which one the origin lay over nobody can tell any more.
            for loop in try kernel.loops(on: activation.path.path) where loop.isWhole {
                try kernel.detachLoop(loop.path)
            }
        }
    }
}

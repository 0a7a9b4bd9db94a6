import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// Stores: made, attached, put under the origin, taken away, read.
extension SnapshotService {
    /// The origin's size in sectors, as tables want it.
    func length(_ activation: Activation) -> SectorCount {
        SectorCount(activation.size.bytes / SectorCount.size)
    }

    func chunkSize(_ activation: Activation) throws(SessionsError) -> ChunkSize {
        do {
            return try ChunkSize(activation.chunkSize)
        } catch {
            throw .damagedRecord(path: layout.registry.string, reason: "\(error)")
        }
    }

    /// Makes an empty store in a directory of its own; one that is there already is made anew.
    ///
    /// The file is sparse and can hold every chunk of the origin. What the kernel reads first is
    /// zeroed and synced: it writes a fresh store's header without a flush, and a cut there must
    /// not leave a header over what would read as entries.
    func makeStore(_ activation: Activation, _ number: Int) throws(SessionsError) {
        try asSessionsError {
            let directory = activation.armedDirectory(number)
            try refuseOwnFileSystem(activation)
            try Files.makeDirectory(directory)
            let path = Layout.store(in: directory)
            if Files.exists(path) { try Files.remove(path) }
            let chunk = try chunkSize(activation)
            let file = try OwnedDescriptor.create(path)
            try file.resize(
                to: StoreGeometry.bytesNeeded(originSize: activation.size, chunkSize: chunk))
            try StorePreparation.prepareFresh(file, chunkSize: chunk)
            try file.close()
            try Files.synchronizeDirectory(directory)
            try Files.synchronizeDirectory(directory.removingLastComponent())
        }
    }

    /// A store on the origin's own file system would wait for itself.
    private func refuseOwnFileSystem(_ activation: Activation) throws {
        guard let origin = try deviceMapper.info(MapperNames.origin(activation)) else { return }
        if kernel.foundations(ofDirectory: activation.base).contains(origin.number) {
            throw SessionsError.unsuitable(
                device: activation.path,
                reason: "the sessions' directory \(activation.base) is on this very device; "
                    + "unmount it there, or activate with another --store-dir")
        }
    }

    /// The raw device: the block device itself, or the loop device of the image.
    ///
    /// While the origin is loaded its table says which one. A path may mean another disk by now, and
    /// an image may be attached once more by hand: a snapshot of that one would keep nothing of what
    /// is written through ours.
    func source(
        _ activation: Activation
    ) throws(SessionsError) -> (path: FilePath, number: DeviceNumber) {
        try asSessionsError {
            let loaded = try loadedSource(activation)
            let found: [(path: FilePath, number: DeviceNumber)]
            switch activation.kind {
            case .block:
                let device = try kernel.blockDevice(FilePath(activation.path))
                found = [(device.path, device.number)]
            case .image:
                let path = FilePath(activation.path)
                var loops = Files.exists(path) ? try kernel.loops(on: path) : []
                // The file may have been removed or renamed since; its loop device has it still.
                if loaded != nil, let inode = activation.identity.inode,
                    let fileSystem = activation.identity.fileSystem
                {
                    loops += try kernel.loops(onInode: inode, fileSystem: fileSystem)
                }
                found = loops.filter(\.isWhole).map { ($0.path, $0.number) }
            }
            guard let source = found.first(where: { loaded == nil || $0.number == loaded }) else {
                throw SessionsError.noSuchDevice(activation.path)
            }
            return source
        }
    }

    /// What the origin's table, if it is loaded, lies over.
    func loadedSource(_ activation: Activation) throws -> DeviceNumber? {
        let origin = try MapperNames.origin(activation)
        guard try deviceMapper.info(origin)?.hasLiveTable == true else { return nil }
        return try deviceMapper.table(origin).first.flatMap {
            SnapshotOriginTarget(parameters: $0.parameters)?.origin
                ?? SnapshotMergeTarget(parameters: $0.parameters)?.origin
        }
    }

    /// Attaches store `number` and loads a snapshot of the origin into it, live at once.
    ///
    /// The origin is suspended, or has no live table yet: only its next resume makes it split large
    /// bios at this snapshot's chunks. Undoing it needs the same.
    func loadSnapshot(
        _ activation: Activation, store number: Int, of origin: DeviceNumber,
        on loop: DeviceNumber, in transaction: DeviceMapperTransaction, undo: inout Undo
    ) throws {
        let name = try MapperNames.snapshot(activation, store: number)
        let chunk = try chunkSize(activation).sectors
        try deviceMapper.create(
            name, uuid: MapperNames.snapshotUUID(activation, store: number), in: transaction,
            visibility: .hidden)
        undo.add("removing \(name)") { [deviceMapper] in
            try deviceMapper.remove(name, in: transaction)
        }
        try deviceMapper.load(
            name,
            [
                .snapshot(
                    SnapshotTarget(origin: origin, store: loop, chunk: chunk),
                    length: length(activation))
            ], isReadOnly: false)
        try deviceMapper.resume(name, in: transaction, visibility: .hidden)
    }

    /// What the kernel says of store `number` now; nil if its snapshot isn't loaded.
    func snapshotStatus(
        _ activation: Activation, store number: Int
    ) throws(SessionsError) -> SnapshotStatus? {
        try asSessionsError {
            let name = try MapperNames.snapshot(activation, store: number)
            guard try deviceMapper.info(name) != nil else { return nil }
            return try deviceMapper.status(name).first.flatMap {
                SnapshotStatus(line: $0.parameters)
            }
        }
    }

    /// Detaches whatever loop devices a store is attached to.
    func detachStore(in directory: FilePath) throws(SessionsError) {
        try asSessionsError {
            let store = Layout.store(in: directory)
            guard Files.exists(store) else { return }
            for loop in try kernel.loops(on: store) { try kernel.detachLoop(loop.path) }
        }
    }

    /// Everything a closed store holds, checked. Its table must be gone.
    func closedStore(
        in directory: FilePath, originSize: ByteCount, chunkSize: ByteCount, session: String
    ) throws(SessionsError) -> ClosedStore {
        do {
            return try ClosedStore(
                path: Layout.store(in: directory), originSize: originSize,
                expecting: ChunkSize(chunkSize))
        } catch {
            // Want of memory or descriptors is no damage: a session would be marked invalid by it.
            let passing: [Errno] = [.noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem]
            if case .system(let cause) = error, passing.contains(cause.errno) {
                throw .system(cause)
            }
            throw .damagedStore(session: session, reason: "\(error)")
        }
    }
}

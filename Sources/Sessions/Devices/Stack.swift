import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// What lies over and under an activated device: its origin's and snapshots' tables, and loop devices
/// under them. Nothing else changes either.
///
/// It keeps nothing itself and decides nothing: what is to be there is the registry's to say.
struct Stack: Sendable {
    let kernel: any Kernel

    var deviceMapper: any DeviceMapping { kernel.deviceMapper }

    /// The origin's size in sectors, as tables want it.
    func length(_ activation: Activation) -> SectorCount {
        SectorCount(activation.size.bytes / SectorCount.size)
    }

    func chunkSize(_ activation: Activation) throws(SessionsError) -> ChunkSize {
        do {
            return try ChunkSize(activation.chunkSize)
        } catch {
            throw .damagedRecord(path: "the registry", reason: "\(activation.name): \(error)")
        }
    }

    // MARK: What is there

    /// The origin; nil if there is none.
    func origin(_ activation: Activation) throws(SessionsError) -> DeviceInfo? {
        try asSessionsError { try deviceMapper.info(MapperNames.origin(activation)) }
    }

    /// Whether the origin has a table.
    func isLoaded(_ activation: Activation) throws(SessionsError) -> Bool {
        try origin(activation)?.hasLiveTable == true
    }

    /// What there is of an origin.
    enum Condition: Hashable {
        /// None, or one without a table.
        case absent
        /// It lies over a device that is there.
        case live
        /// Its table leads nowhere: why.
        case dead(String)
    }

    /// Whether the origin is there, and what it lies over as well.
    func condition(_ activation: Activation) throws(SessionsError) -> Condition {
        guard try isLoaded(activation) else { return .absent }
        return try asSessionsError {
            guard let source = try loadedSource(activation) else {
                return .dead("its table was replaced by hand (`dmsetup remove --force`?)")
            }
            return kernel.exists(source) ? .live : .dead("the disk under it is gone")
        }
    }

    /// A store's snapshot; nil if there is none.
    func snapshot(_ activation: Activation, store: Int) throws(SessionsError) -> DeviceInfo? {
        try asSessionsError {
            try deviceMapper.info(MapperNames.snapshot(activation, store: store))
        }
    }

    /// What the kernel says of store `number` now; nil if its snapshot isn't loaded. Of an overlay it is the
    /// one that is written to.
    func status(
        _ activation: Activation, store number: Int
    ) throws(SessionsError) -> SnapshotStatus? {
        try asSessionsError {
            if activation.state.overlay == nil {
                guard try snapshot(activation, store: number) != nil else { return nil }
            } else if try !isLoaded(activation) {
                return nil
            }
            let name =
                try activation.state.overlay == nil
                ? MapperNames.snapshot(activation, store: number) : MapperNames.origin(activation)
            return try deviceMapper.status(name).first
                .flatMap { SnapshotStatus(line: $0.parameters) }
        }
    }

    /// How many chunks a store has taken, as the kernel says; nil where it doesn't say a number.
    func chunksTaken(_ activation: Activation, store: Int) throws(SessionsError) -> UInt64? {
        try status(activation, store: store)?.chunksTaken(chunk: chunkSize(activation).sectors)
    }

    /// Whether a store has no room for another exception.
    func isFull(_ activation: Activation, store: Int) throws(SessionsError) -> Bool {
        try status(activation, store: store)?.isFull(chunk: chunkSize(activation).sectors) == true
    }

    /// What the origin's table, if it is loaded, lies over.
    func loadedSource(_ activation: Activation) throws -> DeviceNumber? {
        guard try isLoaded(activation) else { return nil }
        return try deviceMapper.table(MapperNames.origin(activation)).first.flatMap {
            SnapshotOriginTarget(parameters: $0.parameters)?.origin
                ?? SnapshotTarget(parameters: $0.parameters)?.origin
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
                let device = try kernel.blockDevice(activation.path.path)
                found = [(device.path, device.number)]
            case .image:
                let path = activation.path.path
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
                throw SessionsError.noSuchDevice(activation.path.text)
            }
            return source
        }
    }

    // MARK: Who uses it

    /// The loop devices that an image is attached to, when those have gone that go by themselves and that
    /// nobody uses: udev still looks at one that was mounted just now.
    ///
    /// - Parameter kept: one that somebody keeps for us.
    func settledLoops(
        on image: FilePath, but kept: FilePath? = nil
    ) throws -> [AttachedLoop] {
        try settled({ try kernel.loops(on: image) }, \.path, but: kept)
    }

    /// The same, as far as an ordinary user can tell.
    func settledHolders(of image: FilePath) throws -> [FilePath] {
        try settled({ try kernel.holders(of: image) }, \.self, but: nil)
    }

    /// After an assembled device was put back, or shows something older: see `Kernel.renewFileSystem`.
    func renewFileSystem(of activation: Activation) {
        kernel.renewFileSystem(
            on: DeviceFinder.path(of: activation).path, try? source(activation).path)
    }

    private func settled<Loop>(
        _ find: () throws -> [Loop], _ path: (Loop) -> FilePath, but kept: FilePath?
    ) throws -> [Loop] {
        for _ in 0..<100 {
            let found = try find()
            let isSettled = try found.allSatisfy { loop in
                let loop = path(loop)
                return try loop == kept || !kernel.isPassing(loop: loop)
                    || !uses(of: kernel.status(loop).deviceNumber).isEmpty
            }
            if isSettled { return found }
            kernel.pause(milliseconds: 50)
        }
        return try find()
    }

    /// What keeps a device in use: mounts anywhere, swap, devices built on it.
    func uses(of number: DeviceNumber) throws(SessionsError) -> [DeviceUse] {
        do {
            let mounts = try kernel.mounts(of: number).map { DeviceUse.mount($0) }
            return mounts + kernel.hiddenUses(of: number)
        } catch {
            throw .system(error)
        }
    }

    /// Waits until nobody has the origin open.
    ///
    /// Right after an unmount udev opens the device to probe it, for some milliseconds: that is no
    /// use. A mount, swap or a device on top is, at once.
    func isIdle(_ activation: Activation, patience: Int = 50) throws(SessionsError) -> Bool {
        for attempt in 0..<patience {
            guard let info = try origin(activation), info.openCount > 0 else { return true }
            if try !uses(of: info.number).isEmpty { return false }
            if attempt + 1 < patience { kernel.pause(milliseconds: 100) }
        }
        return false
    }

    /// How many have it open, if they are programs that can't but read it: those are no use.
    ///
    /// - Returns: nil if anybody else has.
    func readers(_ activation: Activation) throws(SessionsError) -> Int? {
        guard let info = try origin(activation), info.openCount > 0 else { return 0 }
        guard try uses(of: info.number).isEmpty, kernel.readers(of: info.number) == info.openCount
        else { return nil }
        return info.openCount
    }

    /// Whether the kernel says that the present store has kept nothing.
    func isEmpty(_ activation: Activation) throws(SessionsError) -> Bool {
        guard activation.store.health == .sound else { return false }
        return try chunksTaken(activation, store: activation.store.number) == 0
    }

    /// Killed while the origin was suspended: everything on it waits until it is resumed.
    func resumeIfSuspended(_ activation: Activation) throws {
        let name = try MapperNames.origin(activation)
        guard let info = try origin(activation), info.isSuspended, info.hasLiveTable else { return }
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.resume(name, in: transaction, visibility: .disk)
        }
    }
}

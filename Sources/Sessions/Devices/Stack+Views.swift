import Block
import DeviceMapper
import ExceptionStore
import Synchronization
import SystemPackage

/// A device that the kernel removes as soon as nobody has it open any more.
final class PassingDevice: Sendable {
    let name: DeviceName
    let number: DeviceNumber
    /// devtmpfs's own node: libdevmapper takes the other one away when it asks for the removal.
    let path: FilePath
    private let hold: Mutex<FileDescriptor?>

    init(_ name: DeviceName, number: DeviceNumber) throws(SystemError) {
        self.name = name
        self.number = number
        path = FilePath("/dev/dm-\(number.minor)")
        hold = Mutex(try OwnedDescriptor.open(path, .readOnly).kept())
    }

    deinit {
        release()
    }

    /// Lets go of it.
    func release() {
        hold.withLock { hold in
            try? hold?.close()
            hold = nil
        }
    }
}

/// Snapshots for looking into: nobody takes them down, but the kernel when nobody has them open.
extension Stack {
    /// Makes a snapshot of an activated device beside its store's: from then on both capture.
    ///
    /// - Parameters:
    ///   - freezing: whether the file system on it is brought into order for that.
    ///   - store: the caller keeps it meanwhile; then the snapshot does.
    ///   - during: runs while nothing is written to the device.
    func passingSnapshot<Result>(
        of activation: Activation, _ names: (name: DeviceName, uuid: DeviceUUID), freezing: Bool,
        on store: DeviceNumber, during body: () throws -> Result
    ) throws -> (PassingDevice, Result) {
        if freezing { try synchronizeFileSystem(of: activation) }
        let source = try source(activation)
        let target = Target.snapshot(
            SnapshotTarget(
                origin: source.number, store: store, chunk: try chunkSize(activation).sectors),
            length: length(activation))
        return try deviceMapper.inTransaction { transaction in
            let result = try create(names, [target], isReadOnly: true, in: transaction) {
                try deviceMapper.whileSuspended(
                    MapperNames.origin(activation), in: transaction, freezing: freezing
                ) {
                    try deviceMapper.resume(names.name, in: transaction, visibility: .hidden)
                    return try body()
                }
            }
            return (try passing(names.name, in: transaction), result)
        }
    }

    /// Makes what is looked into, over a device that nobody writes to; the kernel keeps that from being
    /// mounted. What the tables name is the caller's to keep meanwhile.
    ///
    /// - Parameters:
    ///   - past: what of the origin was otherwise, as a table for a store that is read only; nil if
    ///     nothing was.
    ///   - store: takes what is written to the view.
    /// - Returns: the view, and what lies under it: the origin as it was.
    func passingView(
        _ names: ViewNames, of origin: DeviceNumber, size: ByteCount,
        past: (table: [Target], chunk: ChunkSize)?, on store: DeviceNumber, chunk: ChunkSize
    ) throws -> (view: PassingDevice, then: PassingDevice?) {
        func snapshot(_ origin: DeviceNumber, _ store: DeviceNumber, _ chunk: ChunkSize) -> [Target]
        {
            [
                .snapshot(
                    SnapshotTarget(origin: origin, store: store, chunk: chunk.sectors),
                    length: SectorCount(size.bytes / SectorCount.size))
            ]
        }
        return try deviceMapper.inTransaction { transaction in
            func make(
                _ part: MapperNames.ViewPart, _ targets: [Target], isReadOnly: Bool
            ) throws -> PassingDevice {
                let names = try names(part)
                try create(names, targets, isReadOnly: isReadOnly, in: transaction) {
                    try deviceMapper.resume(names.name, in: transaction, visibility: .hidden)
                }
                return try passing(names.name, in: transaction)
            }
            let then = try past.map { past in
                let chain = try make(.chain, past.table, isReadOnly: true)
                return try withExtendedLifetime(chain) {
                    try make(.then, snapshot(origin, chain.number, past.chunk), isReadOnly: true)
                }
            }
            let view = try make(
                .view, snapshot(then?.number ?? origin, store, chunk), isReadOnly: false)
            return (view, then)
        }
    }

    private func create<Result>(
        _ names: (name: DeviceName, uuid: DeviceUUID), _ targets: [Target], isReadOnly: Bool,
        in transaction: DeviceMapperTransaction, _ body: () throws -> Result
    ) throws -> Result {
        try deviceMapper.create(
            names.name, uuid: names.uuid, in: transaction, visibility: .hidden)
        do {
            try deviceMapper.load(names.name, targets, isReadOnly: isReadOnly)
            return try body()
        } catch {
            var undo = Undo()
            undo.add("removing \(names.name)") { [deviceMapper] in
                try deviceMapper.remove(names.name, in: transaction)
            }
            throw undo.run(after: error)
        }
    }

    private func passing(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws -> PassingDevice {
        guard let info = try deviceMapper.info(name) else {
            throw SessionsError.internalFault("\(name) went while it was made")
        }
        let device = try PassingDevice(name, number: info.number)
        try deviceMapper.removeWhenUnused(name, in: transaction)
        return device
    }

    /// Waits until the kernel has taken a view away that nobody has open any more: first what is looked
    /// into, then what lies under it.
    ///
    /// - Parameter view: the name of any part of it.
    /// - Returns: whether it did, within seconds.
    func isGone(view: DeviceName) throws -> Bool {
        let parts = try MapperNames.parts(ofView: view)
        for _ in 0..<100 {
            if try parts.allSatisfy({ try deviceMapper.info($0) == nil }) { return true }
            kernel.pause(milliseconds: 50)
        }
        return false
    }

    /// Takes away what a program that was killed had made, and nobody has open.
    ///
    /// - Parameter owner: an activation, or what stands for it.
    func removeAbandonedViews(of owner: String) throws {
        // What lies on top of another comes first, which then is not in use any more.
        let views = try deviceMapper.devices()
            .filter { MapperNames.isView(uuid: $0.uuid, of: owner) }
            .sorted { $0.uuid > $1.uuid }
        for name in views.compactMap({ DeviceName($0.name) })
        where try deviceMapper.info(name)?.openCount == 0 {
            try deviceMapper.inTransaction { transaction in
                try deviceMapper.remove(name, in: transaction)
            }
        }
    }

    /// What uses a view of an activation, as a sentence about the device, and what ends that; nil if
    /// nothing does.
    func viewInUse(_ activation: Activation) throws -> (use: String, advice: String)? {
        var isInUse = false
        for device in try deviceMapper.devices()
        where MapperNames.isView(uuid: device.uuid, of: activation.id) {
            guard let name = DeviceName(device.name), let info = try deviceMapper.info(name),
                info.openCount > 0
            else { continue }
            isInUse = true
            if let mount = try kernel.mounts(of: info.number).first {
                return (
                    "a session of it is looked into, at \(mount.target)",
                    "end that (`dmsnap browse --stop \(mount.target)`)"
                )
            }
        }
        // Not mounted yet, or in another mount namespace, or in none as `copy` does.
        return isInUse ? ("another command looks into a session of it", "wait for its end") : nil
    }
}

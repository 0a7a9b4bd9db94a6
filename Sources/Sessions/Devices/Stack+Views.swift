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
        let source = try source(activation)
        let target = Target.snapshot(
            SnapshotTarget(
                origin: source.number, store: store, chunk: try chunkSize(activation).sectors),
            length: length(activation))
        let result = try deviceMapper.inTransaction { transaction in
            try create(names, [target], isReadOnly: true, in: transaction) {
                try deviceMapper.whileSuspended(
                    MapperNames.origin(activation), in: transaction, freezing: freezing
                ) {
                    try deviceMapper.resume(names.name, in: transaction, visibility: .hidden)
                    return try body()
                }
            }
        }
        return (try passing(names.name), result)
    }

    /// Makes a snapshot of a device that nobody writes to; the kernel keeps it from being mounted.
    ///
    /// - Parameters:
    ///   - store: what of it was otherwise. The caller keeps it meanwhile; then the snapshot does.
    ///   - isReadOnly: or else the store takes what is written to the snapshot.
    func passingSnapshot(
        of origin: DeviceNumber, _ names: (name: DeviceName, uuid: DeviceUUID), size: ByteCount,
        on store: DeviceNumber, chunk: ChunkSize, isReadOnly: Bool
    ) throws -> PassingDevice {
        let target = SnapshotTarget(origin: origin, store: store, chunk: chunk.sectors)
        return try passingDevice(
            names,
            [.snapshot(target, length: SectorCount(size.bytes / SectorCount.size))],
            isReadOnly: isReadOnly)
    }

    /// Makes a device that goes when nobody has it open any more; what its table names is the caller's to
    /// keep meanwhile.
    func passingDevice(
        _ names: (name: DeviceName, uuid: DeviceUUID), _ targets: [Target], isReadOnly: Bool
    ) throws -> PassingDevice {
        try deviceMapper.inTransaction { transaction in
            try create(names, targets, isReadOnly: isReadOnly, in: transaction) {
                try deviceMapper.resume(names.name, in: transaction, visibility: .hidden)
            }
        }
        return try passing(names.name)
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

    private func passing(_ name: DeviceName) throws -> PassingDevice {
        guard let info = try deviceMapper.info(name) else {
            throw SessionsError.internalFault("\(name) went while it was made")
        }
        let device = try PassingDevice(name, number: info.number)
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.removeWhenUnused(name, in: transaction)
        }
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

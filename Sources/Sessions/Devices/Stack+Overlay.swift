import Block
import DeviceMapper
import ExceptionStore

/// A device under an overlay: its one table is a snapshot that is written to, and under the device's name.
extension Stack {
    private func overlay(
        _ activation: Activation, of source: DeviceNumber, on store: DeviceNumber
    ) throws -> Target {
        .snapshot(
            SnapshotTarget(
                origin: source, store: store, chunk: try chunkSize(activation).sectors,
                outlastsOverflow: true),
            length: length(activation))
    }

    /// Loads the table.
    ///
    /// - Parameter source: the device, which nobody writes to.
    func loadOverlay(
        _ activation: Activation, source: DeviceNumber, store: DeviceNumber
    ) throws {
        let name = try MapperNames.origin(activation)
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.create(
                name, uuid: MapperNames.originUUID(activation), in: transaction,
                visibility: .disk)
            try deviceMapper.load(
                name, [overlay(activation, of: source, on: store)], isReadOnly: false)
            try deviceMapper.resume(name, in: transaction, visibility: .disk)
        }
    }

    /// Puts an empty store in the place of the one that is written to, in one suspend. What that held nobody
    /// sees any more.
    ///
    /// - Parameter completion: run as soon as that is so, before udev's answer is waited for.
    /// - Returns: false if somebody had opened the device, and all is as it was.
    func exchangeOverlay(
        _ activation: Activation, for store: DeviceNumber, completion: () throws -> Void
    ) throws -> Bool {
        struct Used: Error {}
        let name = try MapperNames.origin(activation)
        let table = try overlay(activation, of: source(activation).number, on: store)
        do {
            try deviceMapper.inTransaction { transaction in
                try deviceMapper.whileSuspended(name, in: transaction, freezing: false) {
                    guard try deviceMapper.info(name)?.openCount == 0 else { throw Used() }
                    try deviceMapper.load(name, [table], isReadOnly: false)
                }
                try completion()
            }
            return true
        } catch is Used {
            return false
        }
    }

    /// Whether what is written to the device goes to this store.
    func isWritten(to store: Store, of activation: Activation) throws -> Bool {
        guard let file = store.file, try isLoaded(activation),
            let table = try deviceMapper.table(MapperNames.origin(activation)).first,
            let target = SnapshotTarget(parameters: table.parameters)
        else { return false }
        return try kernel.loops(onInode: file.inode, fileSystem: file.fileSystem)
            .contains { $0.number == target.store }
    }
}

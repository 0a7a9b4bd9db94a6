import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// Tables: loaded. The order of the steps is dm-snapshot's rule everywhere.
extension Stack {
    /// Loads both tables, or the origin's alone where there is no store; the origin's first resume comes
    /// last, when its snapshot is there, so that it splits bios at the snapshot's chunks and no write ever
    /// finds it without one.
    ///
    /// - Parameter merging: the origin's table while a store is merged into it.
    func loadTables(
        _ activation: Activation, source: DeviceNumber, store: DeviceNumber?,
        merging: Target? = nil
    ) throws {
        let name = try MapperNames.origin(activation)
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.create(
                name, uuid: MapperNames.originUUID(activation), in: transaction,
                visibility: .disk)
            let plain = Target.snapshotOrigin(
                SnapshotOriginTarget(origin: source), length: length(activation))
            try deviceMapper.load(name, [merging ?? plain], isReadOnly: false)
            if let store {
                // Whoever called this undoes it: waiting for udev may fail when all this has not.
                try loadSnapshot(
                    activation, store: activation.store.number, of: source, on: store,
                    in: transaction)
                try resumeSnapshot(activation, store: activation.store.number, in: transaction)
            }
            try deviceMapper.resume(name, in: transaction, visibility: .disk)
        }
    }

    /// Makes the snapshot of store `number`, and loads its table. It captures nothing before it is
    /// resumed (`active` in drivers/md/dm-snap.c), so the origin may be running.
    ///
    /// The table is read-only: the kernel's copying doesn't ask for that, and everybody else who
    /// mounts or checks the snapshot to have a look can't write into the store.
    func loadSnapshot(
        _ activation: Activation, store number: Int, of origin: DeviceNumber,
        on loop: DeviceNumber, in transaction: DeviceMapperTransaction
    ) throws {
        let name = try MapperNames.snapshot(activation, store: number)
        let chunk = try chunkSize(activation).sectors
        try deviceMapper.create(
            name, uuid: MapperNames.snapshotUUID(activation, store: number), in: transaction,
            visibility: .hidden)
        try deviceMapper.load(
            name,
            [
                .snapshot(
                    SnapshotTarget(origin: origin, store: loop, chunk: chunk),
                    length: length(activation))
            ], isReadOnly: true)
    }

    /// From now on it captures. The origin is suspended, or has no live table yet: only its next
    /// resume makes it split large bios at this snapshot's chunks.
    func resumeSnapshot(
        _ activation: Activation, store number: Int, in transaction: DeviceMapperTransaction
    ) throws {
        try deviceMapper.resume(
            MapperNames.snapshot(activation, store: number), in: transaction,
            visibility: .hidden)
    }
}

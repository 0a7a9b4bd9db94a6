import Block
import DeviceMapper
import SystemPackage

/// Tables that are taken away.
extension Stack {
    /// Takes a snapshot from under its origin, in a suspend; gone already is fine, too.
    func dropSnapshot(_ activation: Activation, store number: Int) throws {
        let name = try MapperNames.snapshot(activation, store: number)
        guard try deviceMapper.info(name) != nil else { return }
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.whileSuspended(
                MapperNames.origin(activation), in: transaction, freezing: false
            ) {
                try deviceMapper.remove(name, in: transaction)
            }
        }
    }

    /// Takes the origin away: the kernel refuses it while anybody has it open, and without it nothing
    /// is written that a snapshot would have to see.
    func removeOrigin(_ activation: Activation) throws {
        try resumeIfSuspended(activation)
        let name = try MapperNames.origin(activation)
        guard try deviceMapper.info(name) != nil else { return }
        // By a name that is gone nobody could have the kernel forget it.
        if activation.store.baseline.contents.type == "btrfs" {
            kernel.forgetBtrfs(on: FilePath(name.path))
        }
        try deviceMapper.inTransaction { transaction in
            try deviceMapper.remove(name, in: transaction)
        }
    }

    /// Takes away whatever of an activation's tables is loaded, the origin first.
    ///
    /// Without their origin they come from `dmsetup remove` by hand, or a crash while loading.
    func removeTables(_ activation: Activation) throws {
        let origin = try MapperNames.origin(activation)
        let ours = try deviceMapper.devices().filter {
            MapperNames.belongs(uuid: $0.uuid, to: activation)
        }.compactMap { DeviceName($0.name) }
        try deviceMapper.inTransaction { transaction in
            for name in ours.filter({ $0 == origin }) + ours.filter({ $0 != origin }) {
                try deviceMapper.remove(name, in: transaction)
            }
        }
    }
}

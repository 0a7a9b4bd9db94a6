import Block
import DeviceMapper
import SystemPackage

/// What a process that died halfway left behind: gone on with, or undone.
extension SnapshotService {
    /// Brings one activation into a state that nobody is in the middle of.
    public func recover(_ id: String) throws(SessionsError) {
        try operating(on: id) { activation in
            _ = try recoverLocked(activation)
        }
    }

    /// Goes on with, or undoes, what a process that has died left halfway; what somebody still works on
    /// is left to them.
    public func recoverAbandoned(_ id: String) throws(SessionsError) {
        try asSessionsError {
            guard let activation = try registry.read()[id: id], try isUnfinished(activation) else {
                return
            }
            let lock = layout.operationLock(id)
            guard let taken = try FileLock.takeIfFree(lock) else { return }
            let result = Result {
                guard let current = try registry.read()[id: id] else {
                    try Files.remove(lock)
                    return
                }
                _ = try recoverLocked(current)
            }
            taken.release()
            try result.get()
        }
    }

    private func isUnfinished(_ activation: Activation) throws -> Bool {
        if activation.phase != .active || activation.nextStore != nil { return true }
        if try isMergeUnfinished(activation) { return true }
        return try deviceMapper.info(MapperNames.origin(activation))?.isSuspended == true
    }

    /// - Returns: the activation as it then is; nil if it is gone.
    func recoverLocked(_ activation: Activation) throws -> Activation? {
        switch activation.phase {
        case .activating, .deactivating:
            _ = try takeDown(activation)
            return nil
        case .active:
            let exchanged = try recoverExchange(recoverName(recoverSuspended(activation)))
            return try exchanged.flatMap { try recoverMerge($0) }
        }
    }

    /// Killed while the origin was suspended: everything on it waits until it is resumed.
    private func recoverSuspended(_ activation: Activation) throws -> Activation {
        let origin = try MapperNames.origin(activation)
        if let info = try deviceMapper.info(origin), info.isSuspended, info.hasLiveTable {
            try deviceMapper.inTransaction { transaction in
                try deviceMapper.resume(origin, in: transaction, visibility: .disk)
            }
        }
        return activation
    }

    /// Killed between the rename that names a session and the registry's change.
    private func recoverName(_ activation: Activation) throws -> Activation {
        guard let named = try namedWithoutRegistry(activation) else { return activation }
        return try change(activation.id) { $0.session = named.record.name }
    }

    /// The open session that an armed store was renamed to, where the registry knows nothing of it.
    func namedWithoutRegistry(_ activation: Activation) throws(SessionsError) -> Session? {
        guard activation.session == nil, !Files.exists(activation.directory),
            let named = try namedStore(activation), named.record.closedAt == nil
        else { return nil }
        return named
    }

    /// Killed while stores were being exchanged.
    ///
    /// If the old snapshot is still loaded it has missed nothing: the new one goes. If it is gone, and
    /// the new one captures, that has taken over: the old one is closed. An invalid one had gone before
    /// the new one came, which then goes as well, to come again.
    private func recoverExchange(_ activation: Activation) throws -> Activation? {
        guard let next = activation.nextStore else { return activation }
        let origin = try MapperNames.origin(activation)
        let old = try MapperNames.snapshot(activation, store: activation.store)
        let new = try MapperNames.snapshot(activation, store: next)
        guard try deviceMapper.info(origin)?.hasLiveTable == true else { return activation }
        let arriving = try deviceMapper.info(new)
        if try deviceMapper.info(old) == nil, arriving?.hasLiveTable == true {
            let end = activation.nextBaseline ?? activation.baseline
            _ = try settle(activation, end: end, wasInvalid: false)
            return try registry.read()[id: activation.id]
        }
        if arriving != nil {
            try deviceMapper.inTransaction { transaction in
                try deviceMapper.whileSuspended(origin, in: transaction, freezing: false) {
                    try deviceMapper.remove(new, in: transaction)
                }
            }
        }
        let directory = activation.armedDirectory(next)
        try detachStore(in: directory)
        try Files.removeDirectory(directory)
        try forgetNext(activation)
        return try registry.read()[id: activation.id]
    }
}

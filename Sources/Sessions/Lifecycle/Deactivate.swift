import Block
import DeviceMapper
import FoundationEssentials
import SystemPackage

/// `deactivate`: from an armed device back to a plain one, and its sessions stay.
extension SnapshotService {
    /// Takes an activated device's tables down. What was captured and has no session yet becomes
    /// one.
    ///
    /// - Parameter device: any name of the device, or the image file.
    /// - Returns: the session that this closed, if it closed one.
    /// - Throws: `notActivated`, `busy` while it is mounted or otherwise used, `missingDirectory` where
    ///   what it captured isn't there.
    @discardableResult
    public func deactivate(_ device: String) throws(SessionsError) -> Session? {
        guard let found = try find(device) else { throw .notActivated(device) }
        return try operating(on: found.id) { current in
            guard let activation = try recoverLocked(current) else { return nil }
            try refuseOpen(activation)
            try refuseWithoutStore(activation)
            try refuseToLoseMerge(activation)
            try change(activation.id) { $0.phase = .deactivating }
            let origin = try MapperNames.origin(activation)
            for _ in 0..<50 {
                do {
                    return try takeDown(activation)
                } catch {
                    let cause = SessionsError.from(error)
                    guard cause.exitStatus == .busy, try deviceMapper.info(origin) != nil else {
                        throw cause
                    }
                    // udev probes what was closed just now; a use ends it at once.
                    if try !isIdle(activation) { break }
                }
            }
            try change(activation.id) { $0.phase = .active }
            try refuseOpen(activation)
            throw busy(activation, "it has been opened just now")
        }
    }

    private func busy(_ activation: Activation, _ reason: String) -> SessionsError {
        .busy(
            device: path(of: activation), reason: reason,
            advice: "end that (`umount \(path(of: activation))`), then deactivate")
    }

    private func refuseOpen(_ activation: Activation) throws {
        if try isIdle(activation) { return }
        let number = try deviceMapper.info(MapperNames.origin(activation))?.number
        if let number, let use = try uses(of: number).first {
            throw busy(activation, use.description)
        }
        throw busy(activation, "a program has it open")
    }

    /// Forgotten now, an activation whose sessions' file system isn't mounted would leave its session
    /// there open for ever, and in no chain.
    private func refuseWithoutStore(_ activation: Activation) throws {
        var places = [activation.directory]
        if let next = activation.nextStore { places.append(activation.armedDirectory(next)) }
        if places.contains(where: { Files.exists($0) }) { return }
        if try namedStore(activation) != nil { return }
        throw SessionsError.missingDirectory(
            device: activation.path, directory: activation.directory.string)
    }

    /// The origin goes first: the kernel refuses that while anybody has it open, and without it
    /// nothing is written that a snapshot would have to see. Can be done again after a crash.
    ///
    /// - Throws: `missingDirectory` before anything is done, where the sessions' file system isn't
    ///   there at all: an empty store alone may have been deleted already, before a crash.
    func takeDown(_ activation: Activation) throws -> Session? {
        if activation.phase == .deactivating, try !storeIsThere(activation) {
            throw SessionsError.missingDirectory(
                device: activation.path, directory: activation.directory.string)
        }
        let origin = try MapperNames.origin(activation)
        let source = try loadedSource(activation) == nil ? nil : try? source(activation)
        var status: SnapshotStatus?
        try deviceMapper.inTransaction { transaction in
            if let info = try deviceMapper.info(origin) {
                if info.isSuspended, info.hasLiveTable {
                    try deviceMapper.resume(origin, in: transaction, visibility: .disk)
                }
                try deviceMapper.remove(origin, in: transaction)
            }
            status = try snapshotStatus(activation, store: activation.store)
            // The snapshot is the only one that surely knows.
            if status == .invalid {
                try markInvalid(activation.id, store: activation.store)
            }
            for store in [activation.store, activation.nextStore].compactMap({ $0 }) {
                let name = try MapperNames.snapshot(activation, store: store)
                if try deviceMapper.info(name) != nil {
                    try deviceMapper.remove(name, in: transaction)
                }
            }
        }
        let end = try (source?.path ?? bareSource(activation)).map { path throws in
            try kernel.fingerprint(path)
        }
        let closed =
            try activation.phase == .activating
            ? discardEmpty(activation)
            : finish(
                activation, end: end, wasInvalid: status == .invalid)
        if activation.kind == .image {
            if let source {
                try kernel.detachLoop(source.path)
            } else if Files.exists(FilePath(activation.path)) {
                // Which one the origin lay over nobody can tell any more.
                for loop in try kernel.loops(on: FilePath(activation.path)) where loop.isWhole {
                    try kernel.detachLoop(loop.path)
                }
            }
        }
        try discardMergingStore(activation)
        _ = try registry.update { document throws(SessionsError) in
            document[id: activation.id] = nil
        }
        try? Files.remove(layout.operationLock(activation.id))
        return closed
    }

    /// Where the device can be looked at without its origin: after a crash or a reboot an image has
    /// no loop device any more, and a disk may have another name.
    private func bareSource(_ activation: Activation) -> FilePath? {
        if activation.kind == .image, let loop = try? source(activation) { return loop.path }
        return (try? locate(activation))?.path
    }

    /// A store of an activation that never came to be: usually empty or not yet there.
    private func discardEmpty(_ activation: Activation) throws -> Session? {
        let directory = activation.armedDirectory(activation.store)
        guard Files.exists(Layout.store(in: directory)) else {
            try Files.removeDirectory(directory)
            return nil
        }
        return try finish(activation, end: nil, wasInvalid: false)
    }
}

import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What assembling an activated device did.
public enum AssemblyOutcome: Sendable {
    /// Origin and store are together again; what the last boot left open is this session.
    case assembled(interrupted: Session?)
    /// Its tables are loaded.
    case alreadyAssembled
    /// The device, the image, or the file system that holds its store is not there yet.
    case notThere
    /// It never was activated to the end, or was being deactivated: that was completed.
    case forgotten
}

/// `assemble`: after a reboot or a crash, origin and store together again.
extension SnapshotService {
    /// Every activation, with what assembling it came to.
    public func assembleAll() throws(SessionsError)
        -> [(Activation, Result<AssemblyOutcome, SessionsError>)]
    {
        try activations().map { activation in
            (
                activation,
                Result { () throws(SessionsError) in try assemble(activation.id) }
            )
        }
    }

    /// The active ones whose origin isn't there, or is without a table: a crash came while it was
    /// made.
    public func missing() throws(SessionsError) -> [Activation] {
        try asSessionsError {
            try activations().filter { activation in
                try activation.phase == .active
                    && deviceMapper.info(MapperNames.origin(activation))?.hasLiveTable != true
            }
        }
    }

    /// Puts one activated device together again, if its parts are there.
    ///
    /// What the last boot captured becomes a session, marked interrupted if it was open; a new store
    /// is armed. The old one is never attached again: nothing that a crash left in it can come back
    /// to life.
    public func assemble(_ id: String) throws(SessionsError) -> AssemblyOutcome {
        try operating(on: id) { current in
            if current.phase != .active {
                // What was captured becomes a session, and its end is read from the device.
                if current.phase == .deactivating {
                    guard Files.exists(current.base), try locate(current) != nil else {
                        return .notThere
                    }
                }
                _ = try takeDown(current)
                return .forgotten
            }
            let origin = try MapperNames.origin(current)
            if try deviceMapper.info(origin)?.hasLiveTable == true {
                let recovered = try recoverLocked(current)
                guard let recovered, try takeDownFailedMerge(recovered) else {
                    return .alreadyAssembled
                }
            }
            guard Files.exists(current.base), let found = try locate(current) else {
                return .notThere
            }
            let named = try storeIsThere(current)
            guard named else { return .notThere }
            try removeTables(current)
            var located = try change(id) {
                $0.path = found.path.string
                $0.identity = found.identity
            }
            if current.kind == .image { try attachImage(located) }
            try refuseResized(located)
            let merge = try mergeToGoOn(located)
            let interrupted = try closeLastBoot(&located, merge)
            try armAgain(located, merge)
            // The raw device was kept from everybody; now its rules may give it its links.
            try kernel.trigger(source(located).number)
            return .assembled(interrupted: interrupted)
        }
    }

    /// The base directory may be a mount point whose file system isn't there yet.
    func storeIsThere(_ activation: Activation) throws -> Bool {
        if Files.exists(Layout.store(in: activation.directory)) { return true }
        if try namedStore(activation) != nil { return true }
        // Dropped or renamed before a crash: then the directory of armed stores is there.
        return Files.exists(activation.armedDirectory(activation.store).removingLastComponent())
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

    private func attachImage(_ activation: Activation) throws {
        let path = FilePath(activation.path)
        if try !kernel.loops(on: path).contains(where: \.isWhole) {
            _ = try kernel.attachLoop(path, sector: activation.sector)
        }
    }

    /// What has grown would have a tail that nobody captures; what has shrunk can't be loaded.
    private func refuseResized(_ activation: Activation) throws {
        let device = try kernel.blockDevice(source(activation).path)
        guard device.size == activation.size else {
            throw SessionsError.unsuitable(
                device: activation.path,
                reason: "its size is \(device.size.bytes) bytes and was \(activation.size.bytes) "
                    + "when it was activated; put that back, or deactivate \(activation.name)")
        }
    }

    /// Makes sessions of the stores of the last boot, the older first.
    ///
    /// - Returns: the session that was open, now marked interrupted.
    private func closeLastBoot(
        _ activation: inout Activation, _ merge: OnlineMerge?
    ) throws -> Session? {
        // Whatever was given up or has ended since, the registry knows.
        activation = try change(activation.id) { _ in }
        let now = try kernel.fingerprint(source(activation).path)
        if let next = activation.nextStore {
            // The exchange was under way. If the kernel had written the new store's header, it may
            // have captured already, alone or beside the old one: both become sessions. What both
            // hold they hold alike, so the earliest contents still are the right ones.
            if try wasLoaded(activation.armedDirectory(next)) {
                let end = activation.nextBaseline ?? activation.baseline
                _ = try settle(activation, end: end, wasInvalid: false)
            } else {
                try Files.removeDirectory(activation.armedDirectory(next))
                try change(activation.id) { $0.nextStore = nil }
            }
            activation = try change(activation.id) { _ in }
        }
        // Whatever a store of the last boot holds was cut short, named or not: a clean end leaves an
        // empty one.
        let session = try finish(activation, end: now, wasInvalid: false, interrupted: true)
        let isBroken = session == nil && activation.baseline != now
        activation = try change(activation.id) { current in
            current.store += 1
            current.session = nil
            current.isInvalid = false
            current.restored = merge.map { merge in
                OnlineTrace(
                    session: merge.session,
                    continues: current.restored?.continues ?? session?.record.name)
            }
            current.baseline = now
            if let session { current.nextIndex = session.record.index + 1 }
            if isBroken || current.isBrokenInside { current.startChain() }
            current.broken = nil
            current.isBrokenInside = false
        }
        return session
    }

    /// Whether the kernel has ever used a store: it then has a header.
    private func wasLoaded(_ directory: FilePath) throws -> Bool {
        let path = Layout.store(in: directory)
        guard Files.exists(path) else { return false }
        let start = try OwnedDescriptor.open(path, .readOnly).read(count: 4, at: 0)
        return start.contains { $0 != 0 }
    }

    private func armAgain(_ activation: Activation, _ merge: OnlineMerge?) throws {
        var undo = Undo()
        do {
            let directory = activation.armedDirectory(activation.store)
            undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
            undo.add("detaching the store") { try detachStore(in: directory) }
            try makeStore(activation, activation.store)
            let loop = try kernel.attachLoop(
                Layout.store(in: directory), sector: activation.sector)
            let source = try source(activation)
            var merging: Target?
            if let merge {
                undo.add("detaching the store that is merged") {
                    try detachStore(in: activation.mergingDirectory)
                }
                let store = try kernel.attachLoop(
                    Layout.store(in: activation.mergingDirectory), sector: activation.sector)
                merging = try mergeTable(activation, merge, on: store.number)
            }
            undo.add("removing the tables") { try removeTables(activation) }
            try loadTables(
                activation, source: source.number, store: loop.number, merging: merging)
            if merge != nil { try change(activation.id) { $0.merge?.isRunning = true } }
        } catch {
            throw undo.run(after: error)
        }
    }
}

internal import Block
import DeviceMapper
public import ExceptionStore
import FoundationEssentials
import Glibc
public import SystemPackage

/// What activating did.
public enum ActivationOutcome: Sendable {
    /// The device is armed now.
    case activated(Activation)
    /// It was activated before; nothing was changed.
    case alreadyActive(Activation)
}

/// `activate`: from a plain device to an armed one.
extension SnapshotService {
    /// Arms a block device or an image file: from its next mount on, every mount is a session.
    ///
    /// - Parameters:
    ///   - device: any path of a block device, or an image file's.
    ///   - chunkSize: of the stores; the configuration's if nil.
    ///   - directory: the sessions' base directory; the configuration's if nil.
    ///   - loop: a loop device over all of an image, which is used instead of a new one: whoever made
    ///     it (mount(8)) can't let go of it now.
    /// - Throws: `busy` if anything uses the device, `unsuitable` with the reason.
    public func activate(
        _ device: String, chunkSize: ChunkSize? = nil, directory: FilePath? = nil,
        taking loop: FilePath? = nil
    ) throws(SessionsError) -> ActivationOutcome {
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            return try FileLock.holding(layout.activationLock) {
                try activateLocked(device, chunkSize: chunkSize, directory: directory, loop)
            }
        }
    }

    private func activateLocked(
        _ device: String, chunkSize: ChunkSize?, directory: FilePath?, _ loop: FilePath?
    ) throws -> ActivationOutcome {
        try refuseUnlessText(device)
        if let known = try find(device) {
            try recover(known.id)
            if let active = try activations().first(where: { $0.id == known.id }) {
                // After a boot it may not be together again yet: nobody is told to mount it then.
                if case .notThere = try assemble(active.id) {
                    throw SessionsError.unsuitable(
                        device: device, reason: "it is activated, but it or its store isn't there")
                }
                return .alreadyActive(active)
            }
        }
        let path = try Files.resolve(FilePath(device))
        guard try kernel.status(path).kind == .regular else {
            return try activateNew(device, chunkSize: chunkSize, directory: directory, nil)
        }
        return try holding(image: path) {
            try activateNew(device, chunkSize: chunkSize, directory: directory, loop)
        }
    }

    /// Registry and records are JSON: a path in them is text, and one that isn't would come back as
    /// another.
    private func refuseUnlessText(_ path: String) throws {
        // What an argument had in the place of U+FFFD nobody can tell any more.
        let isText = (try? Files.resolve(FilePath(path))).map { FilePath($0.string) == $0 } ?? true
        guard isText, !path.contains("\u{FFFD}") else {
            throw SessionsError.unsuitable(
                device: path,
                reason:
                    "its path is not valid UTF-8 (or has the character U+FFFD, which stands for "
                    + "what isn't); rename it")
        }
    }

    private func activateNew(
        _ device: String, chunkSize: ChunkSize?, directory: FilePath?, _ loop: FilePath?
    ) throws -> ActivationOutcome {
        let source = try examine(device, loop)
        let base = try prepareBase(directory ?? configuration.sessionsDirectory)
        let chunk = chunkSize ?? configuration.chunkSize
        guard chunk.bytes.bytes.isMultiple(of: UInt64(source.sector)) else {
            throw SessionsError.unsuitable(
                device: device,
                reason: "a chunk of \(chunk) is smaller than its sector of "
                    + "\(source.sector) bytes; give --chunk-size 4K or more")
        }
        return .activated(try arm(source, base: base, chunk: chunk, loop))
    }

    /// A device or image that can be activated, as it was found.
    private struct Source {
        let kind: Activation.Kind
        let path: FilePath
        let name: String
        let sessionPrefix: String
        let size: ByteCount
        let sector: UInt32
        let identity: SourceIdentity
        let fingerprint: Fingerprint
    }

    /// Looks at what is to be activated and refuses what can't be, before anything is touched.
    private func examine(_ device: String, _ loop: FilePath?) throws -> Source {
        let path = try Files.resolve(FilePath(device))
        let status = try kernel.status(path)
        switch status.kind {
        case .blockDevice: return try examineBlock(device, path)
        case .regular: return try examineImage(device, path, status, loop)
        default:
            throw SessionsError.unsuitable(
                device: device, reason: "it is neither a block device nor an image file")
        }
    }

    private func examineBlock(_ device: String, _ path: FilePath) throws -> Source {
        let block = try kernel.blockDevice(path)
        if let uuid = Sysfs.attribute(Sysfs.directory(block.number).appending("dm/uuid")),
            MapperNames.isOurs(uuid: uuid)
        {
            throw SessionsError.unsuitable(
                device: device, reason: "it is one of dmsnap's own devices")
        }
        if block.isReadOnly {
            throw SessionsError.unsuitable(
                device: device, reason: "it is read-only, so there is nothing to protect")
        }
        try refuseUsed(device, block)
        guard block.size.bytes >= 512 else {
            throw SessionsError.unsuitable(device: device, reason: "it is empty")
        }
        var identity = SourceIdentity(
            contents: try probe(device, path), hardware: block.hardwareIdentity)
        identity.contents.partitionTable = nil
        let name = block.mapperName ?? block.kernelName
        return Source(
            kind: .block, path: path, name: name,
            sessionPrefix: SessionName.prefix(kernelName: name),
            size: block.size, sector: block.sector, identity: identity,
            fingerprint: try kernel.fingerprint(path))
    }

    private func refuseUsed(_ device: String, _ block: BlockDevice) throws {
        func busy(_ reason: String, _ advice: String) -> SessionsError {
            .busy(device: device, reason: reason, advice: advice)
        }
        if let use = try uses(of: block.number).first {
            throw busy(
                use.description,
                "unmount it first (or swap it off), or activate what is built on it")
        }
        let partitions = Sysfs.partitions(block.number)
        for partition in partitions {
            let name = Sysfs.kernelName(partition) ?? "\(partition)"
            if let use = try uses(of: partition).first {
                throw busy("of its partition \(name): \(use.description)", "activate partitions")
            }
        }
        if let first = partitions.first {
            throw SessionsError.unsuitable(
                device: device,
                reason: "it is partitioned, and what is written to a partition would escape; "
                    + "activate the partitions, as /dev/\(Sysfs.kernelName(first) ?? "…")")
        }
        if let disk = Sysfs.disk(ofPartition: block.number),
            let holder = Sysfs.related(disk, "holders").first
        {
            throw busy(
                "its disk is used by \(Sysfs.kernelName(holder) ?? "\(holder)")",
                "take that down first")
        }
        do {
            try kernel.claim(block.path)
        } catch {
            guard error.errno == .resourceBusy else { throw error }
            throw busy(
                "something uses it (a mount, swap, or another device)",
                "find it with lsblk or swapon, and stop that first")
        }
    }

    private func examineImage(
        _ device: String, _ path: FilePath, _ status: FileStatus, _ taken: FilePath?
    ) throws -> Source {
        guard status.size.bytes >= 512 else {
            throw SessionsError.unsuitable(
                device: device, reason: "it is empty; an image has at least one sector")
        }
        let attached = try kernel.loops(on: path)
        if let loop = try attached.first(where: { loop in
            try loop.path != taken || !loop.isWhole || !uses(of: loop.number).isEmpty
        }) {
            throw SessionsError.busy(
                device: device, reason: "it is attached to \(loop.path) already",
                advice: "detach it with `losetup -d \(loop.path)`, or activate \(loop.path)")
        }
        // The loop device is cut to whole sectors; what is behind them no mount can change.
        let size = status.size.inWholeSectors
        let name = path.lastComponent?.string ?? "image"
        return Source(
            kind: .image, path: path, name: name,
            sessionPrefix: SessionName.prefix(imagePath: path.string), size: size, sector: 512,
            identity: try identity(ofImage: path, probe(device, path)),
            fingerprint: try kernel.fingerprint(path))
    }

    private func probe(_ device: String, _ path: FilePath) throws -> Contents {
        do {
            let contents = try kernel.contents(path)
            // Whoever looks for parts of volumes or arrays would find it three times: raw, as the
            // origin, and as the snapshot.
            if contents.usage == "raid" {
                throw SessionsError.unsuitable(
                    device: device,
                    reason: "it is part of a volume group or an array (\(contents.type ?? "?")); "
                        + "activate the logical volume or the array that is made of it")
            }
            return contents
        } catch let error as SystemError {
            guard error.errno == .invalidArgument else { throw error }
            throw SessionsError.unsuitable(
                device: device,
                reason: "it carries signatures of several file systems; see `wipefs` on it")
        }
    }

    /// The base directory, made if need be: root's alone.
    private func prepareBase(_ base: FilePath) throws -> FilePath {
        guard base.isAbsolute else {
            throw SessionsError.unsuitable(
                device: base.string, reason: "the sessions' directory must be an absolute path")
        }
        try refuseUnlessText(base.string)
        try Files.makeDirectory(base)
        let resolved = try Files.resolve(base)
        let status = try FileStatus(resolved)
        guard status.owner == geteuid() else {
            throw SessionsError.unsuitable(
                device: resolved.string,
                reason: "it is another user's, and sessions hold everything a device held; "
                    + "run `chown root` on it")
        }
        guard status.permissions & 0o022 == 0 else {
            throw SessionsError.unsuitable(
                device: resolved.string,
                reason: "others may write to it, and sessions hold everything a device held; "
                    + "run `chmod 700` on it")
        }
        try Files.makeDirectory(resolved.appending(".armed"))
        return resolved
    }

    private func register(
        _ id: String, _ source: Source, base: FilePath, chunk: ChunkSize
    ) throws -> Activation {
        let taken = Set(try deviceMapper.devices().map(\.name))
        let chain = try continuedChain(
            path: source.path, kind: source.kind, identity: source.identity,
            fingerprint: source.fingerprint)
        return try registry.update { document throws(SessionsError) in
            let name = MapperNames.unique(source.name) { name in
                document.activations.contains { $0.name == name }
                    || taken.contains(MapperNames.originPrefix + name)
            }
            let activation = Activation(
                id: id, name: name,
                sessionPrefix: source.sessionPrefix, kind: source.kind, path: source.path.string,
                identity: source.identity, size: source.size, sector: source.sector,
                chunkSize: chunk.bytes, baseDirectory: base.string,
                chain: chain?.id ?? UUID().uuidString.lowercased(), nextIndex: chain?.next ?? 0,
                store: 1, baseline: source.fingerprint, phase: .activating,
                isBrokenInside: false, isInvalid: false)
            document[id: activation.id] = activation
            if !document.baseDirectories.contains(base.string) {
                document.baseDirectories.append(base.string)
            }
            return activation
        }
    }

    /// Registers the device and builds its first store and tables.
    ///
    /// The operation lock is held from before the registry names the activation: nobody takes it
    /// for one whose process has died.
    private func arm(
        _ source: Source, base: FilePath, chunk: ChunkSize, _ loop: FilePath?
    ) throws -> Activation {
        let id = UUID().uuidString.lowercased()
        let lock = layout.operationLock(id)
        return try FileLock.holding(lock) {
            var undo = Undo()
            undo.add("removing \(lock)") { try Files.remove(lock) }
            undo.add("forgetting the activation") { [registry] in
                try registry.update { document throws(SessionsError) in document[id: id] = nil }
            }
            do {
                let activation = try register(id, source, base: base, chunk: chunk)
                try build(activation, loop, undo: &undo)
                return try change(id) { $0.phase = .active }
            } catch {
                throw undo.run(after: error)
            }
        }
    }

    private func build(
        _ activation: Activation, _ taken: FilePath?, undo: inout Undo
    ) throws {
        if activation.kind == .image {
            let loop =
                try taken
                ?? kernel.attachLoop(FilePath(activation.path), sector: activation.sector).path
            undo.add("detaching \(loop)") { [kernel] in try kernel.detachLoop(loop) }
        }
        let directory = activation.armedDirectory(activation.store)
        undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
        undo.add("detaching the store") { try detachStore(in: directory) }
        try makeStore(activation, activation.store)
        let store = try kernel.attachLoop(Layout.store(in: directory), sector: activation.sector)
        let source = try source(activation)
        undo.add("removing the tables") { try removeTables(activation) }
        try loadTables(activation, source: source.number, store: store.number)
    }

    /// Loads both tables; the origin's first resume comes last, when its snapshot is there, so that
    /// it splits bios at the snapshot's chunks and no write ever finds it without one.
    ///
    /// - Parameter merging: the origin's table while a store is merged into it.
    func loadTables(
        _ activation: Activation, source: DeviceNumber, store: DeviceNumber,
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
            // Whoever called this undoes it: waiting for udev may fail when all this has not.
            var undone = Undo()
            try loadSnapshot(
                activation, store: activation.store, of: source, on: store, in: transaction,
                undo: &undone)
            try deviceMapper.resume(name, in: transaction, visibility: .disk)
        }
    }
}

import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What activating did.
public enum ActivationOutcome: Sendable {
    /// The device is armed now.
    case activated(Activation)
    /// It was activated before, and so as was asked for; nothing was changed.
    case alreadyActive(Activation)
}

/// `activate`: from a plain device to an armed one.
extension Lifecycle {
    /// Arms a block device or an image file: from its next mount on, every mount is a session.
    ///
    /// - Parameter device: any path of a block device, or an image file's.
    /// - Throws: `busy` if anything uses the device, `unsuitable` with the reason; so if it is activated otherwise.
    func activate(
        _ device: String, _ request: ActivationRequest
    ) throws(SessionsError) -> ActivationOutcome {
        try asSessionsError {
            try refuseUnlessText(device)
            try Files.makeDirectory(registry.layout.runDirectory)
            while true {
                // Whoever waits for a device that is activated holds up nobody who activates another.
                if let active = try alreadyActive(device) {
                    try requireSame(request, as: active, device)
                    return .alreadyActive(try stay(active))
                }
                let outcome = try registry.holding(
                    registry.layout.activationLock, for: device
                ) {
                    try finder.find(device) == nil ? activateLocked(device, request) : nil
                }
                if let outcome { return outcome }
            }
        }
    }

    /// The activation of a device, in a state that nobody is in the middle of; nil if it has none.
    private func alreadyActive(_ device: String) throws -> Activation? {
        guard let known = try finder.find(device) else { return nil }
        try recover(known.id)
        guard let active = try registry.read()[id: known.id] else { return nil }
        // After a boot it may not be together again yet: nobody is told to mount it then.
        if case .notThere = try assemble(active.id) {
            throw SessionsError.unsuitable(
                device: device, reason: "it is activated, but it or its store isn't there")
        }
        return try registry.activation(active.id)
    }

    private func activateLocked(
        _ device: String, _ request: ActivationRequest
    ) throws -> ActivationOutcome {
        let path = try Files.resolve(FilePath(device))
        guard try kernel.status(path).kind == .regular else {
            var request = request
            request.loop = nil
            return try activateNew(device, request)
        }
        return try ImageHold(kernel: kernel, layout: registry.layout).holding(path) {
            try activateNew(device, request)
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
        _ device: String, _ request: ActivationRequest
    ) throws -> ActivationOutcome {
        let directory = try baseDirectory(for: request, device)
        let candidate = try Examination(
            stack: stack, finder: finder, device: device, loop: request.loop,
            isWritten: request.restoreAt == nil
        ).run()
        let base = try prepareBase(directory, for: device)
        if let shortage = room(in: base.path.path)?.shortage {
            throw SessionsError.noRoom(device: device, reason: shortage)
        }
        let chunk = request.chunkSize ?? configuration.chunkSize
        guard chunk.bytes.bytes.isMultiple(of: UInt64(candidate.sector)) else {
            throw SessionsError.unsuitable(
                device: device,
                reason: "a chunk of \(chunk) is smaller than its sector of "
                    + "\(candidate.sector) bytes; give --chunk-size 4K or more")
        }
        try refuseMemoryHog(chunk, device)
        return .activated(try arm(candidate, base: base, chunk: chunk, request))
    }

    /// The kernel takes memory of four chunks for each store, measured on 6.1, and in an exchange there are two.
    private func refuseMemoryHog(_ chunk: ChunkSize, _ device: String) throws(SessionsError) {
        let needed = 8 * chunk.bytes.bytes
        guard let available = kernel.availableMemory(), needed > available.bytes / 2 else { return }
        throw .unsuitable(
            device: device,
            reason:
                "with chunks of \(chunk) the kernel takes up to \(needed >> 20) MiB of memory, and "
                + "\(available.bytes >> 20) are available; give a smaller --chunk-size")
    }

    /// The base directory, made if need be: root's alone.
    private func prepareBase(_ base: FilePath, for device: String) throws -> BaseDirectory {
        guard base.isAbsolute else {
            throw SessionsError.unsuitable(
                device: base.string, reason: "the sessions' directory must be an absolute path")
        }
        try refuseUnlessText(base.string)
        try kernel.refuseWithoutMount(base, for: device)
        try Files.makeDirectory(base)
        let resolved = try TrustedPath.ours(base)
        try Files.makeDirectory(resolved.appending(".armed"))
        return finder.base(resolved)
    }

    private func register(
        _ id: String, _ candidate: Candidate, base: BaseDirectory, chunk: ChunkSize,
        _ request: ActivationRequest
    ) throws -> Activation {
        let taken = Set(try stack.deviceMapper.devices().map { ByteText($0.name) })
        let chain = try catalogue.continuedChain(
            path: candidate.path, kind: candidate.kind, identity: candidate.identity,
            fingerprint: candidate.fingerprint)
        if let chain {
            try catalogue.noteUnwatched(
                before: chain, candidate.sessionPrefix, in: base.path.path,
                until: candidate.fingerprint)
        }
        return try registry.update { document throws(SessionsError) in
            // Names that differ in their bytes alone look the same: also those count as taken.
            let name = MapperNames.unique(candidate.name) { name in
                document.activations.contains { $0.name.text == name.text }
                    || taken.contains(ByteText(MapperNames.originPrefix + name.text))
            }
            var activation = Activation(
                id: id, name: name, sessionPrefix: candidate.sessionPrefix,
                kind: candidate.kind, path: candidate.path, identity: candidate.identity,
                size: candidate.size, sector: candidate.sector, chunkSize: chunk.bytes,
                base: base, chain: chain ?? .new(),
                state: .activating(Store(number: 1, baseline: candidate.fingerprint)))
            activation.restoreAt = request.restoreAt
            activation.isInMemory = request.place == .memory ? true : nil
            if let time = request.putBackAt, time != .never {
                var policy = RestorePolicy(at: time, base: activation.chain)
                policy.keep = request.keep ?? 0
                activation.restorePolicy = policy
            }
            document[id: activation.id] = activation
            if activation.isInMemory != true, !document.baseDirectories.contains(base.path) {
                document.baseDirectories.append(base.path)
            }
            return activation
        }
    }

    /// Registers the device and builds its first store and tables.
    ///
    /// The operation lock is held from before the registry names the activation: nobody takes it
    /// for one whose process has died.
    private func arm(
        _ candidate: Candidate, base: BaseDirectory, chunk: ChunkSize,
        _ request: ActivationRequest
    ) throws -> Activation {
        let id = UUID().uuidString.lowercased()
        let lock = registry.layout.operationLock(id)
        return try registry.holding(lock, for: candidate.path.text) {
            var undo = Undo()
            undo.add("removing \(lock)") { try Files.remove(lock) }
            undo.add("forgetting the activation") { [registry] in
                try registry.update { document throws(SessionsError) in document[id: id] = nil }
            }
            do {
                let activation = try register(
                    id, candidate, base: base, chunk: chunk, request)
                try build(activation, loop: candidate.loop, undo: &undo)
                return try registry.change(id) { current throws(SessionsError) in
                    if request.restoreAt == nil { try current.arm() } else { try current.cover() }
                }
            } catch {
                throw undo.run(after: error)
            }
        }
    }

    /// Makes the present store, with the registry knowing which file it is, and attaches it.
    func makeStore(of activation: Activation) throws -> DeviceNumber {
        let number = activation.store.number
        let file = try stack.makeStore(activation, number, limit: storeLimit(of: activation))
        try registry.change(activation.id) { $0.store.file = file }
        return try stack.attachStore(activation, in: activation.armedDirectory(number))
    }

    private func build(
        _ activation: Activation, loop taken: FilePath?, undo: inout Undo
    ) throws {
        if activation.kind == .image {
            let loop =
                try taken
                ?? kernel.attachLoop(activation.path.path, sector: activation.sector).path
            undo.add("detaching \(loop)") { [kernel] in try kernel.detachLoop(loop) }
        }
        let number = activation.store.number
        let directory = activation.armedDirectory(number)
        undo.add("removing \(directory)") { try Files.removeDirectory(directory) }
        undo.add("detaching the store") { try stack.detachStore(in: directory) }
        let store = try makeStore(of: activation)
        let source = try stack.source(activation)
        // What a restore is measured by is what was there when the store was armed, and is there
        // after a power cut, too.
        try kernel.synchronize(source.path)
        let now = try kernel.fingerprint(source.path, samples: true)
        let written = SessionsError.busy(
            device: activation.path.text, reason: "something is writing to it",
            advice: "stop that, then activate it")
        guard now.differences(from: activation.store.baseline).isEmpty else { throw written }
        undo.add("removing the tables") { try stack.removeTables(activation) }
        if activation.restoreAt == nil {
            try stack.loadTables(activation, source: source.number, store: store)
        } else {
            try stack.loadOverlay(activation, source: source.number, store: store)
        }
        // What was written in between, and where no sample is, only the file tells.
        if let image = activation.image, let file = activation.store.baseline.file,
            let now = kernel.stamp(of: image), now != file
        {
            throw written
        }
    }
}

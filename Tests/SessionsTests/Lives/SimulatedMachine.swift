import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import KernelSimulation
import Lives
import StoreTesting
import SystemPackage

@testable import Sessions

/// A life's machine with a simulated kernel: what dmsnap does is called, and can die at every step.
final class SimulatedMachine: LifeMachine {
    static let sizes = History.Sizes(
        device: (6 << 10)...(48 << 10), chunks: [512, 1024, 2048, 4096])

    let capturesChangesOnly = true
    let canReadMounted = true
    let archivesWithMonitor = false
    let knowsRoom = true
    let comparesAll = true
    let world: World
    private var path: FilePath
    private let isImage: Bool
    private let chunk: ChunkSize
    private let copy: FilePath
    private var renamed = 0
    private var registry: (bytes: [UInt8], activation: Activation?) = ([], nil)
    private var read: [FilePath: (bytes: [UInt8], session: Session)] = [:]

    init(_ history: History) throws {
        world = try World(seed: history.seed)
        isImage = history.isImage
        path =
            try history.isImage
            ? world.image(size: history.size) : world.disk(size: history.size)
        chunk = try ChunkSize(SectorCount(UInt64(history.chunk / 512)))
        copy = world.directory.path.appending("copy")
        world.kernel.keepsBeginnings = true
        world.kernel.mergeSpeed = 0
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try configure("")
    }

    /// - Parameter rule: of `[retention]`.
    func configure(_ rule: String) throws {
        // Threads of its own are more than a few kibibytes are worth.
        let text = "[archive]\nthreads = 1\n[retention]\n\(rule)\n"
        try Files.replace(world.layout.configuration, with: Array(text.utf8))
    }

    /// What dmsnap refuses is a refusal; its own faults are not.
    func asked<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as SessionsError {
            if error.exitStatus == .software { throw error }
            throw Refusal(status: Int(error.exitStatus.rawValue), message: "\(error)")
        }
    }

    /// As the registry has it, parsed when that has changed.
    func activation() throws -> Activation? {
        let path = world.layout.registry
        let bytes = try Files.exists(path) ? Files.read(path) : []
        if bytes != registry.bytes {
            registry = (bytes, try world.service().activations().first)
        }
        return registry.activation
    }

    // MARK: What is there

    func contents() throws -> [UInt8] {
        if let activation = try activation(), activation.merge != nil,
            world.kernel.number(ofMapped: try world.origin(activation)) != nil
        {
            return try world.kernel.contents(ofMapped: world.origin(activation))
        }
        return try world.kernel.bytes(of: path)
    }

    func sessions() throws -> [ListedSession] {
        let listed = try records().map { session in
            let record = session.record
            var listed = ListedSession(
                name: record.name.text, store: "\(record.activation)-cow-\(record.store)",
                position: ChainPosition(chain: record.chain, index: record.index))
            listed.isCurrent = record.closedAt == nil
            listed.isInvalid = record.state == .invalid
            listed.isBroken = record.broken != nil
            listed.isUndone = record.undoneBy != nil
            listed.isInterrupted = record.interrupted
            listed.isMidway = record.continues != nil
            listed.hasEnd = record.end != nil
            listed.lastIndex = record.lastIndex ?? record.index
            listed.isPinned = record.isPinned
            listed.isHalfway = Files.exists(Layout.restoring(in: session.directory))
            listed.device = record.device.text
            listed.openedAt = record.openedAt.ISO8601Format()
            return listed
        }
        return ListedSession.left(of: listed)
    }

    /// As `Catalogue.sessions` gives them, but that what was read already isn't parsed again.
    private func records() throws -> [Session] {
        var known: [FilePath: (bytes: [UInt8], session: Session)] = [:]
        for name in try Files.list(world.layout.defaultSessions) {
            let directory = world.layout.defaultSessions.appending(name)
            guard SessionName(name) != nil, Files.exists(Layout.record(in: directory)) else {
                continue
            }
            let bytes = try Files.read(Layout.record(in: directory))
            if let old = read[directory], old.bytes == bytes {
                known[directory] = old
            } else {
                let record = try JSON.decode(SessionRecord.self, bytes: bytes)
                known[directory] = (bytes, Session(directory: directory, record: record))
            }
        }
        read = known
        return known.values.map(\.session).sorted {
            ($0.record.openedAt, $0.record.index) < ($1.record.openedAt, $1.record.index)
        }
    }

    func place() throws -> ChainPosition? {
        try activation().map { ChainPosition(chain: $0.chain.id, index: $0.chain.index) }
    }

    func faults(afterDeath: Bool) throws -> [String] {
        let activations = try activation().map { [$0] } ?? []
        return try world.faults(afterDeath: afterDeath, known: (activations, records()))
    }

    func beginning(of store: String) -> [UInt8]? { world.kernel.beginnings["DMSNAP-\(store)"] }

    func isMerging() throws -> Bool {
        guard let activation = try activation() else { return false }
        return try world.service().lifecycle.merger.progress(activation).map { !$0.isComplete }
            ?? false
    }

    // MARK: What dmsnap does

    func activate() throws {
        try asked { _ = try world.service().activate(path.string, .init(chunkSize: chunk)) }
    }

    func deactivate() throws {
        try asked { _ = try world.service().deactivate(path.string) }
    }

    func assemble() throws {
        try asked {
            for activation in try world.service().activations() {
                guard case .assembled = try world.service().assemble(activation.id) else {
                    throw Unexpected("nothing that was assembled")
                }
            }
        }
    }

    func restore(
        _ session: ListedSession, _ way: RestoreWay, copy bytes: [UInt8]?
    ) throws -> RestoreResult {
        var request = RestoreRequest(session: session.name)
        request.acceptsWrites = way == .acceptingWrites
        request.online = way == .online
        let record = try world.service().session(named: session.name).record
        let isOwn = bytes == nil && record.device == ByteText(path)
        if let bytes {
            try Files.replace(copy, with: bytes)
            request.device = copy.string
        } else if !isOwn || world.generator.next() & 1 == 0 {
            request.device = path.string
        }
        return Self.result(of: try asked { try world.service().restore(request) }, isOwn: isOwn)
    }

    func reset() throws -> ResetResult {
        try asked {
            let service = try world.service()
            guard let request = try service.resetRequest(for: path.string) else {
                return .nothingToUndo
            }
            let outcome = try service.restore(request)
            return .restored(request.session, Self.result(of: outcome, isOwn: true))
        }
    }

    private static func result(of outcome: RestoreOutcome, isOwn: Bool) -> RestoreResult {
        RestoreResult(
            isProven: outcome.isProven, isConditional: !outcome.conditions.isEmpty,
            isOnline: outcome.isOnline, isOwn: isOwn, undo: outcome.undo?.text)
    }

    func checkpoint() throws -> [UInt8]? {
        try asked { _ = try world.service().checkpoint(path.string) }
        return nil
    }

    func copied() throws -> [UInt8] { try world.kernel.bytes(of: copy) }

    func archive(atMost count: Int) throws -> Bool {
        let archiver = try world.service().archiver
        var isWhole = true
        for session in try archiver.unarchived().prefix(count) {
            do {
                try archiver.archive(session)
            } catch {
                guard error.exitStatus == .damaged || error.exitStatus == .ioError else {
                    throw error
                }
                isWhole = false
            }
        }
        return isWhole
    }

    /// What the monitor does when it is woken.
    func monitor() throws {
        let service = try world.service()
        for activation in try service.activations() { try service.recoverAbandoned(activation.id) }
        for activation in try service.missing() { _ = try service.assemble(activation.id) }
        for watched in try service.observer.watched() {
            let id = watched.activation.id
            if watched.usage == .invalid {
                try service.observer.markInvalid(
                    id, store: watched.activation.store.number, "full")
                _ = try service.observer.giveUp(watched, "full")
            }
            if watched.merge?.isComplete == true { try service.recover(id) }
            if watched.uses.isEmpty {
                _ = try service.rollOver(id)
            } else {
                _ = try service.observer.openSession(watched)
            }
        }
    }

    // MARK: What users do

    func mount() throws -> Bool {
        _ = try world.mount()
        return true
    }

    func write(_ number: Int) throws {
        for part in parts(number) {
            try world.kernel.write(part.bytes, at: part.offset, to: world.origin())
        }
    }

    /// A few ranges of whole sectors, small and large ones.
    private func parts(_ number: Int) -> [(offset: Int, bytes: [UInt8])] {
        var random = SeededGenerator(seed: UInt64(number) &* 7919 &+ 3)
        let sectors = sectors
        return (0...Int.random(in: 0...3, using: &random)).map { _ in
            let most = max(1, sectors >> Int.random(in: 0...4, using: &random))
            let length = Int.random(in: 1...most, using: &random)
            let start = Int.random(in: 0...sectors - length, using: &random)
            return (start * 512, random.bytes(length * 512))
        }
    }

    private var sectors: Int { ((try? world.kernel.bytes(of: path).count) ?? 0) / 512 }

    func synchronize() throws { world.kernel.synchronize(mapped: try world.origin()) }

    func remount() throws {
        let origin = try world.origin()
        world.kernel.unmount(origin)
        try world.kernel.mount(origin)
        _ = try world.service().openSession(origin)
    }

    func unmount() throws { world.kernel.unmount(try world.origin()) }

    func merge(_ chunks: Int) throws {
        world.kernel.mergeSpeed = chunks
        defer { world.kernel.mergeSpeed = 0 }
        _ = try world.service().status()
    }

    // MARK: What happens to the machine

    func crash(losing: Int?) throws {
        guard let losing else { return world.kernel.reboot() }
        try world.kernel.powerCut(seed: UInt64(losing))
    }

    func writePast(_ number: Int) throws {
        guard let part = parts(number).first else { return }
        try TemporaryDirectory.patch(path, at: Int64(part.offset), part.bytes)
    }

    func rename() throws -> Bool {
        if isImage { return false }
        renamed += 1
        let name = "sd\(renamed)"
        try world.kernel.renameDisk(path, to: name)
        path = path.removingLastComponent().appending(name)
        return true
    }

    func fillStore(_ number: Int) throws -> Bool {
        guard let activation = try activation() else { return false }
        let snapshot = try MapperNames.snapshot(activation, store: activation.store.number).text
        guard world.kernel.number(ofMapped: snapshot) != nil else { return false }
        // Where even the header can't be written any more, the monitor writes it down.
        try world.kernel.invalidate(snapshot, isWritten: number & 1 == 0)
        if number & 1 == 1 {
            try world.service().observer.markInvalid(
                activation.id, store: activation.store.number, "full")
        }
        return true
    }

    func directory(_ session: ListedSession) -> FilePath {
        world.layout.defaultSessions.appending(session.name)
    }

    func remove(_ session: ListedSession) throws {
        try Files.removeDirectory(directory(session))
    }

    /// Of an archive any bit; a store has no checksums, so one of its header's.
    func damage(_ session: ListedSession, _ number: Int) throws {
        let archive = Layout.archive(in: directory(session))
        let store = Layout.store(in: directory(session))
        let file = Files.exists(store) ? store : archive
        var bytes = try Files.read(file)
        let bit = number % ((Files.exists(store) ? 16 : bytes.count) * 8)
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        try TemporaryDirectory.patch(file, at: Int64(bit / 8), [bytes[bit / 8]])
    }

    // MARK: What happens to a process

    func dying(
        before number: Int, _ body: () throws -> Void, halfway: () throws -> Void
    ) throws -> Bool {
        var result = Result<Void, any Error>.success(())
        let last = Steps.dying(before: number) { result = Result { try body() } }
        guard !last.isEmpty else {
            try result.get()
            return false
        }
        try configure("")
        try halfway()
        if number & 1 == 1 {
            world.kernel.reboot()
        } else {
            // The guard over a suspended device.
            for activation in try world.service().activations() {
                try world.service().recover(activation.id)
            }
        }
        // The monitor's start.
        if let failure = try world.service().keeper.recover().first { throw failure }
        for _ in 0..<50 {
            try monitor()
            guard try activation()?.merge != nil else { break }
            try merge(1000)
        }
        return true
    }
}

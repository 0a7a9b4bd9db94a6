import Block
import FoundationEssentials
import SystemPackage

/// The sessions on disk: found, read, named, changed.
struct Catalogue: Sendable {
    let layout: Layout
    let configuration: Configuration
    let registry: Registry
    /// The time of day.
    let now: @Sendable () -> Date

    /// Every base directory that may hold sessions: the configuration's, and every one ever used, if
    /// they are there. One that others could have put sessions in holds none of ours. An ordinary user
    /// has none.
    func baseDirectories() throws(SessionsError) -> [FilePath] {
        try bases().compactMap { try? $0.get() }
    }

    private func bases() throws(SessionsError) -> [Result<FilePath, SessionsError>] {
        guard registry.isForRoot else { return [] }
        var bases = [configuration.sessionsDirectory]
        bases += try registry.read().baseDirectories.map(\.path)
        var seen: Set<FilePath> = []
        return bases.compactMap { base in
            do throws(SystemError) {
                let resolved = try TrustedPath.ours(base)
                return seen.insert(resolved).inserted ? .success(resolved) : nil
            } catch {
                guard error.refusal != nil, seen.insert(base).inserted else { return nil }
                return .failure(.system(error))
            }
        }
    }

    /// Every session, the oldest first; a directory whose record can't be read comes as its error.
    func sessions() throws(SessionsError) -> [Result<Session, SessionsError>] {
        let bases = try bases()
        let refused: [Result<Session, SessionsError>] = bases.compactMap { base in
            guard case .failure(let error) = base else { return nil }
            return .failure(error)
        }
        return refused + sessions(in: bases.compactMap { try? $0.get() })
    }

    private func sessions(in bases: [FilePath]) -> [Result<Session, SessionsError>] {
        var (found, damaged) = read(in: bases)
        let merged = Chain.merged(found.map(\.record))
        if !merged.isEmpty { found.removeAll { merged.contains($0.record.name) } }
        return damaged.map { .failure($0) } + Chain.inOrder(found, \.record).map { .success($0) }
    }

    /// Those of a chain that can be read, in their order; also those that others cover, and that are about to go.
    func everySession(of chain: String) throws(SessionsError) -> [Session] {
        read(in: try baseDirectories()).found.filter { $0.record.chain == chain }
            .sorted { $0.record.index < $1.record.index }
    }

    private func read(
        in bases: [FilePath]
    ) -> (found: [Session], damaged: [SessionsError]) {
        var found: [Session] = []
        var damaged: [SessionsError] = []
        for base in bases {
            for name in (try? Files.list(base)) ?? [] {
                let directory = base.appending(name)
                guard SessionName(name) != nil, Files.exists(Layout.record(in: directory)) else {
                    continue
                }
                do {
                    found.append(try session(at: directory))
                } catch {
                    damaged.append(error)
                }
            }
        }
        return (found, damaged)
    }

    /// The sessions that can be read: a damaged record harms itself alone.
    func readable(in bases: [FilePath]) -> [Session] {
        sessions(in: bases).compactMap { try? $0.get() }
    }

    /// The session in a directory.
    func session(at directory: FilePath, isForeign: Bool = false) throws(SessionsError) -> Session {
        if !isForeign {
            do {
                _ = try TrustedPath.ours(directory)
            } catch {
                throw .system(error)
            }
        }
        let path = Layout.record(in: directory)
        let record = try JSON.decode(SessionRecord.self, from: path)
        if let fault = record.fault { throw .damagedRecord(path: path.string, reason: fault) }
        return Session(directory: directory, record: record, isForeign: isForeign)
    }

    /// A session by its name, its label, its directory's path, or an archive file's.
    func session(named text: String) throws(SessionsError) -> Session {
        let bases = try baseDirectories()
        if let name = SessionName(text),
            let directory = bases.map({ Layout.session(in: $0, name) }).first(where: {
                Files.exists(Layout.record(in: $0))
            })
        {
            return try session(at: directory)
        }
        // A path is a path, whatever somebody has called a session.
        if !text.contains("/") || !Files.exists(FilePath(text)),
            let labelled = try session(labelled: text, in: bases)
        {
            return labelled
        }
        guard let path = try? Files.resolve(FilePath(text)), let status = try? FileStatus(path)
        else {
            // It may be in a directory that is not to be trusted: that is to be said.
            for base in try self.bases() { _ = try base.get() }
            throw .noSuchSession(text)
        }
        let isHere = { (directory: FilePath) in bases.contains(directory.removingLastComponent()) }
        switch status.kind {
        case .directory where Files.exists(Layout.record(in: path)):
            // One that was moved is root's alone still.
            let isRoots = registry.isForRoot && (try? TrustedPath.ours(path)) != nil
            return try session(at: path, isForeign: !isHere(path) && !isRoots)
        case .regular:
            let directory = path.removingLastComponent()
            // In its own directory of ours it is the session of that directory.
            if path == Layout.archive(in: directory), isHere(directory),
                Files.exists(Layout.record(in: directory))
            {
                return try session(at: directory)
            }
            // An image that is activated is no archive, and its sessions have names.
            if try registry.activations().contains(where: { $0.isImage(status) }) {
                throw .noSuchSession(text)
            }
            return try session(inArchive: path)
        default:
            throw .noSuchSession(text)
        }
    }

    /// Writes a session's record, whole or not at all.
    func write(_ record: SessionRecord, in directory: FilePath) throws(SessionsError) {
        let bytes = try JSON.encode(record)
        do {
            try Files.replace(Layout.record(in: directory), with: bytes)
        } catch {
            throw .system(error)
        }
    }

    /// Changes a session's record as it is now, while nobody else does; one that is foreign stays as
    /// it is.
    func change(
        _ session: Session, _ body: (inout SessionRecord) -> Void
    ) throws(SessionsError) {
        guard session.archive == nil, !session.isForeign else { return }
        try changeRecord(in: session.directory, body)
    }

    /// Changes the record in a session's directory as it is now, while nobody else does.
    ///
    /// - Returns: the session as it then is.
    @discardableResult
    func changeRecord(
        in directory: FilePath, _ body: (inout SessionRecord) throws -> Void
    ) throws(SessionsError) -> Session {
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            return try registry.holding(
                layout.recordsLock, for: directory.lastComponent?.string ?? ""
            ) {
                var record = try self.session(at: directory).record
                try body(&record)
                try write(record, in: directory)
                return Session(directory: directory, record: record)
            }
        }
    }

    /// A session directory made of a store of this activation: the one that the registry names, or,
    /// where a process died between the rename and the registry's change, the one that says so itself.
    func session(
        ofStore store: Int, of activation: Activation
    ) throws(SessionsError) -> Session? {
        readable(in: try baseDirectories()).first {
            $0.record.activation == activation.id && $0.record.store == store
        }
    }

    /// A session's chain, and where each member is: those on this machine, and those that lie beside
    /// the session, wherever it was moved.
    func lineage(
        of session: Session
    ) throws(SessionsError) -> (chain: Chain, sessions: [SessionName: Session]) {
        var bases = try baseDirectories()
        let beside = session.directory.removingLastComponent()
        if session.archive == nil, !bases.contains(beside) { bases.insert(beside, at: 0) }
        // The session is the one that was named; of two copies of another one is enough.
        var found = [session.record.name: session]
        for member in readable(in: bases) where member.record.chain == session.record.chain {
            if found[member.record.name] == nil { found[member.record.name] = member }
        }
        return (Chain(found.values.map(\.record)), found)
    }
}

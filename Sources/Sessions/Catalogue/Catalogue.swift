internal import Block
import FoundationEssentials
public import SystemPackage

/// A session and where it is.
public struct Session: Sendable {
    /// Its directory.
    public let directory: FilePath
    /// What its `session.json` says.
    public let record: SessionRecord
    /// The archive that it was read from, where that lies by itself: nothing but the archive is
    /// then known of the session, and nothing of it is changed.
    public let archive: FilePath?

    init(directory: FilePath, record: SessionRecord, archive: FilePath? = nil) {
        self.directory = directory
        self.record = record
        self.archive = archive
    }
}

/// The sessions on disk.
extension SnapshotService {
    /// Every base directory that may hold sessions: the configuration's, and every one ever used.
    func baseDirectories() throws(SessionsError) -> [FilePath] {
        var bases = [configuration.sessionsDirectory]
        bases += try registry.read().baseDirectories.map { FilePath($0) }
        var seen: Set<FilePath> = []
        return bases.compactMap { base in
            guard let resolved = try? Files.resolve(base), seen.insert(resolved).inserted else {
                return nil
            }
            return resolved
        }
    }

    /// Every session, the oldest first; a directory whose record can't be read comes as its error.
    public func sessions() throws(SessionsError) -> [Result<Session, SessionsError>] {
        try sessions(in: baseDirectories())
    }

    private func sessions(in bases: [FilePath]) -> [Result<Session, SessionsError>] {
        var found: [Result<Session, SessionsError>] = []
        for base in bases {
            for name in (try? Files.list(base)) ?? [] {
                let directory = base.appending(name)
                guard SessionName(name) != nil, Files.exists(Layout.record(in: directory)) else {
                    continue
                }
                found.append(Result { () throws(SessionsError) in try session(at: directory) })
            }
        }
        func order(_ result: Result<Session, SessionsError>) -> (Date, Int) {
            guard case .success(let session) = result else { return (.distantPast, 0) }
            return (session.record.openedAt, session.record.index)
        }
        return found.sorted { order($0) < order($1) }
    }

    /// The session in a directory.
    func session(at directory: FilePath) throws(SessionsError) -> Session {
        let record = try JSON.decode(SessionRecord.self, from: Layout.record(in: directory))
        guard record.version == SessionRecord.currentVersion else {
            throw .damagedRecord(
                path: Layout.record(in: directory).string,
                reason: "its version is \(record.version), and this dmsnap knows "
                    + "\(SessionRecord.currentVersion)")
        }
        return Session(directory: directory, record: record)
    }

    /// A session by its name, its directory's path, or an archive file's.
    public func session(named text: String) throws(SessionsError) -> Session {
        let directory: FilePath? =
            if text.contains("/") {
                FilePath(text)
            } else {
                try baseDirectories().map { $0.appending(text) }.first {
                    Files.exists(Layout.record(in: $0))
                }
            }
        // A bare name is a session's before it is that of a file which happens to lie here.
        if text.contains("/") || directory == nil, let path = try? Files.resolve(FilePath(text)),
            (try? FileStatus(path).kind) == .regular
        {
            return try session(inArchive: path)
        }
        guard let directory, Files.exists(Layout.record(in: directory)),
            let resolved = try? Files.resolve(directory)
        else { throw .noSuchSession(text) }
        return try session(at: resolved)
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

    /// Changes a session's record as it is now, while nobody else does; a lone archive has none.
    func change(
        _ session: Session, _ body: (inout SessionRecord) -> Void
    ) throws(SessionsError) {
        guard session.archive == nil else { return }
        try asSessionsError {
            try FileLock.take(existing: session.directory).holding {
                var record = try self.session(at: session.directory).record
                body(&record)
                try write(record, in: session.directory)
            }
        }
    }

    /// A chain's sessions from a place on, in order.
    ///
    /// - Throws: a `damagedRecord` in any directory of the chain's base, for it might be the chain's.
    func chain(_ id: String, from index: Int) throws(SessionsError) -> [Session] {
        try chain(id, from: index, in: baseDirectories())
    }

    /// A session and the later ones of its chain, in order: those on this machine, and those that lie
    /// beside it, wherever it was moved.
    func chain(from session: Session) throws(SessionsError) -> [Session] {
        let record = session.record
        var bases = try baseDirectories()
        let beside = session.directory.removingLastComponent()
        if session.archive == nil, !bases.contains(beside) { bases.insert(beside, at: 0) }
        var members: [Session] = []
        for member in try chain(record.chain, from: record.index, in: bases) {
            // The session is the one that was named, and of two copies of another one is enough.
            if member.record.name == record.name
                || members.contains(where: { $0.record.name == member.record.name })
            {
                continue
            }
            members.append(member)
        }
        let place = members.firstIndex { $0.record.index > record.index } ?? members.endIndex
        members.insert(session, at: place)
        return members
    }

    private func chain(
        _ id: String, from index: Int, in bases: [FilePath]
    ) throws(SessionsError) -> [Session] {
        var members: [Session] = []
        for result in sessions(in: bases) {
            let session = try result.get()
            if session.record.chain == id, session.record.index >= index {
                members.append(session)
            }
        }
        return members.sorted { $0.record.index < $1.record.index }
    }

    /// Lets the session before an activation's next one end in what nobody knows, since something was
    /// written past us.
    ///
    /// The fingerprint alone may not show it, and after a deactivation the session is all that is left.
    func forgetEnd(before activation: Activation) throws(SessionsError) {
        let last = try sessions().compactMap { try? $0.get() }.last { session in
            session.record.chain == activation.chain
                && session.record.index == activation.nextIndex - 1
        }
        guard let last, last.record.end != nil else { return }
        try change(last) { $0.end = nil }
    }

    /// The chain that a device which is being activated goes on with: that of its last session, if
    /// the device still is as that session (or a restore since) left it.
    ///
    /// A copy of the device has the same fingerprint: where nothing but its contents tells who it is
    /// the path has to be the same, and nobody else may be going on with the chain.
    func continuedChain(
        path: FilePath, kind: Activation.Kind, identity: SourceIdentity, fingerprint: Fingerprint
    ) throws(SessionsError) -> (id: String, next: Int)? {
        let inUse = Set(try activations().map(\.chain))
        let isNameless = kind == .block && !identity.isMarked
        let closed = try sessions().compactMap { try? $0.get() }.filter { session in
            let record = session.record
            return record.end == fingerprint && record.deviceKind == kind
                && record.identity.hardware == identity.hardware
                && record.identity.inode == identity.inode
                && record.identity.fileSystem == identity.fileSystem
                && (!isNameless || record.device == path.string) && !inUse.contains(record.chain)
        }
        for session in closed.reversed() {
            let record = session.record
            let members = try chain(record.chain, from: record.index)
            if members.last?.record.index == record.index {
                return (record.chain, record.index + 1)
            }
        }
        return nil
    }
}

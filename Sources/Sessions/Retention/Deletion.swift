import Block
import ExceptionStore
import SessionArchive
import SystemPackage

/// Sessions taken away for good: removed, or merged into the one before them.
///
/// A session that no older one needs is given a name that is no session's, by one rename, and then removed.
/// What older ones need goes into the one before it first. Whoever comes after a crash goes on, or
/// undoes; and at any step every session that is there restores to what it was.
struct Deletion: Sendable {
    let lifecycle: Lifecycle
    /// How long to wait for who uses a session.
    let patience: Duration

    var catalogue: Catalogue { lifecycle.catalogue }
    private var registry: Registry { lifecycle.registry }

    /// How a session can go.
    enum Way: Sendable {
        case whole
        /// Into this older one.
        case merging(into: Session)
    }

    /// Runs `body` as the only one that deletes sessions, after what another one left halfway.
    ///
    /// - Throws: `busy` if somebody is at it.
    func holding<Result>(_ body: () throws -> Result) throws -> Result {
        try Files.makeDirectory(catalogue.layout.runDirectory)
        let lock = try FileLock.take(catalogue.layout.deletionLock, patience: .seconds(5))
        guard let lock else {
            throw SessionsError.busy(
                device: "the sessions", reason: "another dmsnap command deletes some of them",
                advice: "wait for its end")
        }
        return try lock.holding {
            _ = recoverLocked()
            return try body()
        }
    }

    /// How a session can go now.
    ///
    /// - Throws: `busy` while it is open or used, `unsuitable` for a pinned one, `notDeletable`.
    func way(for session: Session) throws(SessionsError) -> Way {
        try refuse(session)
        let members = try catalogue.readable(in: catalogue.baseDirectories()).filter {
            $0.record.chain == session.record.chain
        }
        let order = Chain(members.map(\.record)).members.map(\.name)
        guard let place = order.firstIndex(of: session.record.name), place > 0,
            let older = members.first(where: { $0.record.name == order[place - 1] })
        else { return .whole }
        let name = session.record.name.text
        if let obstacle = Chain.obstacle(toMerging: session.record, into: older.record) {
            throw .notDeletable(
                session: name,
                reason:
                    "older ones need it, and it can't be merged into \(older.record.name), the one "
                    + "before it: \(obstacle); delete the older ones first")
        }
        try refuseHalfway(older)
        return .merging(into: older)
    }

    /// What stands against deleting a session, whatever its neighbours are.
    ///
    /// - Parameter isBase: whether it may be what a device is put back to.
    func refuse(_ session: Session, isBase: Bool = false) throws(SessionsError) {
        let record = session.record
        let device = "session \(record.name)"
        if record.isPinned {
            throw .unsuitable(
                device: device, reason: "it is pinned; run `dmsnap unpin \(record.name)` first")
        }
        guard record.state != .open else {
            throw .busy(
                device: device, reason: "it is open",
                advice: "unmount \(record.device), then delete it")
        }
        guard try registry.read().isPast(record) else {
            throw .busy(
                device: device, reason: "it is only just being closed",
                advice: "try again in a moment")
        }
        if !isBase, let active = try registry.read().putBack(through: record) {
            throw .unsuitable(
                device: device,
                reason:
                    "\(active.path) is put back through it; `dmsnap set \(active.path) --restore-at never` or "
                    + "`--base last` ends that")
        }
        try refuseHalfway(session)
        try refuseOthers(session)
    }

    /// The marker of a restore that was cut short is all that is known of what the device is, and that of
    /// a merge of what is to be done.
    func refuseHalfway(_ session: Session) throws(SessionsError) {
        let device = "session \(session.record.name)"
        if Files.exists(Layout.restoring(in: session.directory)) {
            throw .busy(
                device: device, reason: "a restore of it was cut short",
                advice: "run that restore again first")
        }
        if Files.exists(Layout.absorbing(in: session.directory)) {
            throw .busy(
                device: device,
                reason: "another one is being merged into it, and that can't be ended",
                advice: "`dmsnap prune --dry-run` tries again, and says why")
        }
    }

    /// Nothing goes but files and links, all of them in the session's own directory.
    private func refuseOthers(_ session: Session) throws(SessionsError) {
        try asSessionsError {
            let directory = session.directory
            var strange = try FileStatus(directory, follow: false).kind != .directory
            for name in try Files.list(directory) {
                let kind = try FileStatus(directory.appending(name), follow: false).kind
                strange = strange || kind == .directory
            }
            guard strange else { return }
            throw SessionsError.notDeletable(
                session: session.record.name.text,
                reason:
                    "\(directory) is a link, or has a directory in it, which is none of a session's; "
                    + "move that away")
        }
    }

    /// Takes a session away that nothing needs any more.
    func remove(_ session: Session) throws {
        let device = "session \(session.record.name)"
        let taken = try DirectoryLock.take(session.directory, alone: true, patience: patience) {
            registry.notice("\(device): waiting for another dmsnap command that uses it")
        }
        guard let taken else {
            throw SessionsError.busy(
                device: device,
                reason:
                    "another dmsnap command uses it: restores, verifies, compresses or looks into it",
                advice: "wait for its end")
        }
        try taken.holding {
            let base = session.directory.removingLastComponent()
            let deleted = Layout.deleted(in: base)
            try Files.makeDirectory(deleted)
            let rubbish = deleted.appending(session.record.name.text)
            try discard(rubbish)
            try refuseOthers(session)
            try Files.renameNew(session.directory, to: rubbish)
            try Files.synchronizeDirectory(base)
            try Files.synchronizeDirectory(deleted)
            try discard(rubbish)
        }
        guard !Files.exists(session.directory) else {
            throw SessionsError.internalFault("\(session.directory) is still there")
        }
    }

    /// Removes what is no session any more: a directory and the files in it, or whatever else is there. A
    /// link goes as what it is.
    private func discard(_ rubbish: FilePath) throws {
        guard Files.exists(rubbish) else { return }
        if try FileStatus(rubbish, follow: false).kind == .directory {
            try Files.removeDirectory(rubbish)
        } else {
            try Files.remove(rubbish)
        }
    }

    /// Goes on with what a process that died has left halfway, or undoes it; unless one is at it.
    ///
    /// - Returns: what could not be ended; it is tried again the next time.
    func recover() throws(SessionsError) -> [SessionsError] {
        try asSessionsError {
            try Files.makeDirectory(catalogue.layout.runDirectory)
            guard let lock = try FileLock.takeIfFree(catalogue.layout.deletionLock) else {
                return []
            }
            return try lock.holding { recoverLocked() }
        }
    }

    /// One that fails keeps no other one from being ended.
    private func recoverLocked() -> [SessionsError] {
        var failures: [SessionsError] = []
        func attempt(_ body: () throws -> Void) {
            do {
                try body()
            } catch {
                failures.append(.from(error))
            }
        }
        for base in (try? catalogue.baseDirectories()) ?? [] {
            for name in (try? Files.list(base)) ?? [] where SessionName(name) != nil {
                let directory = base.appending(name)
                guard Files.exists(Layout.absorbing(in: directory)) else { continue }
                attempt { try recoverMerge(in: directory) }
            }
            let deleted = Layout.deleted(in: base)
            guard (try? FileStatus(deleted, follow: false).kind) == .directory else { continue }
            for name in (try? Files.list(deleted)) ?? [] {
                attempt { try discard(deleted.appending(name)) }
            }
        }
        return failures
    }
}

import Block
import ExceptionStore
import FoundationEssentials
public import SessionArchive
internal import SystemPackage

/// Closed sessions: their stores compressed and checksummed.
public struct Archiver: Sendable {
    let catalogue: Catalogue
    private var layout: Layout { catalogue.layout }

    /// The closed sessions that have no archive yet, the oldest first, but for those that are about to go since
    /// their device is put back by itself.
    ///
    /// Sessions of which `session.json` can't be read are left out: `sessions` tells of them.
    public func unarchived() throws(SessionsError) -> [Session] {
        let document = try catalogue.registry.read()
        var found: [Session] = []
        for base in try catalogue.baseDirectories() {
            for name in (try? Files.list(base)) ?? [] {
                let directory = base.appending(name)
                // Looked at first: it is asked after every event, and most sessions have no store.
                guard SessionName(name) != nil, Files.exists(Layout.store(in: directory)),
                    let session = try? catalogue.session(at: directory),
                    isSettled(session, document),
                    !document.activations.contains(where: {
                        $0.restorePolicy?.isPassing(session.record) == true
                    })
                else { continue }
                found.append(session)
            }
        }
        return found.sorted { $0.record.openedAt < $1.record.openedAt }
    }

    /// Whether nothing but a restore will touch the session's store any more. Until the registry
    /// says so an exchange that was cut short may be gone on with, and makes its record anew.
    private func isSettled(_ session: Session, _ document: Registry.Document) -> Bool {
        let record = session.record
        guard record.state == .closed || record.state == .archived else { return false }
        return document.isPast(record)
    }

    /// Makes a closed session's archive, and gives its store up.
    ///
    /// Until the archive was read back, compared with the store and put on stable storage the store
    /// stays. Can be done again after a crash at any point of it.
    ///
    /// - Throws: `damagedStore`, `archiveFailed`, `archiveStopped`; the store is as it was.
    public func archive(
        _ session: Session, control: ArchiveControl = ArchiveControl()
    ) throws(SessionsError) {
        guard isSettled(session, try catalogue.registry.read()) else { return }
        defer { withdrawArchiving() }
        try asSessionsError {
            try catalogue.holding(session) {
                try catalogue.holdingArchive(of: session) {
                    // Another one may have been merged into it meanwhile.
                    try makeArchive(of: try catalogue.session(at: session.directory), control)
                }
            }
        }
    }

    private func makeArchive(of session: Session, _ control: ArchiveControl) throws {
        let directory = session.directory
        let name = session.record.name
        if session.record.state == .closed {
            var record = session.record
            record.state = .archived
            let metadata = String(decoding: try JSON.encode(record), as: UTF8.self)
            do {
                try ArchiveFiles.create(
                    source: try catalogue.closedStore(of: session), metadata: metadata,
                    at: Layout.archive(in: directory), options: catalogue.configuration.archiving,
                    control: publishing(control, of: session))
            } catch let error as ArchiveError {
                if case .cancelled = error {
                    throw SessionsError.archiveStopped(session: name.text)
                }
                throw SessionsError.archiveFailed(session: name.text, reason: "\(error)")
            }
            try catalogue.change(session) { $0.state = .archived }
        }
        // The only copy is given up only if there is another one.
        _ = try catalogue.archiveReader(of: session)
        let store = Layout.store(in: directory)
        if Files.exists(store) { try Files.remove(store) }
        try Files.synchronizeDirectory(directory)
    }
}

extension Catalogue {
    /// Runs `body` as the only one that writes the session's archive: who makes it of the store, and who
    /// merges another session into it, or it into another, lock the store, as long as there is one.
    ///
    /// - Parameter patience: how long to wait for somebody else's end.
    /// - Throws: `busy` if somebody else does.
    func holdingArchive<Result>(
        of session: Session, patience: Duration = .zero, _ body: () throws -> Result
    ) throws -> Result {
        let store = Layout.store(in: session.directory)
        guard Files.exists(store) else { return try body() }
        let device = "session \(session.record.name)"
        let taken = try FileLock.take(existing: store, patience: patience) {
            registry.notice("\(device): waiting for its archive")
        }
        guard let taken else {
            throw SessionsError.busy(
                device: device, reason: "its archive is being made, or it is being merged",
                advice: "wait for its end (`dmsnap status` shows an archive's)")
        }
        return try taken.holding(body)
    }
}

extension Registry.Document {
    /// Whether the activation that made a session is done with its store.
    func isPast(_ record: SessionRecord) -> Bool {
        guard let activation = self[id: record.activation] else { return true }
        return activation.store.number > record.store
    }
}

import Block
import ExceptionStore
import FoundationEssentials
import SessionArchive
import SystemPackage

/// What a session kept, in whichever form it has it.
extension Catalogue {
    /// A closed session's chunks, the metadata checked: from its store, or from its archive. As long as
    /// they are there the session is in use.
    ///
    /// - Throws: `damagedStore`, `busy` while it is being deleted.
    ///
    /// - Parameter cacheBytes: as an `ArchiveReader` takes it.
    func chunkSource(
        of session: Session, cacheBytes: Int
    ) throws(SessionsError) -> any ChunkSource {
        guard let lock = try hold(session) else {
            return try plainSource(of: session, cacheBytes: cacheBytes)
        }
        return HeldSource(try plainSource(of: session, cacheBytes: cacheBytes), lock)
    }

    private func plainSource(
        of session: Session, cacheBytes: Int
    ) throws(SessionsError) -> any ChunkSource {
        if session.archive == nil, Files.exists(Layout.store(in: session.directory)) {
            do {
                return try closedStore(of: session)
            } catch {
                // Its archive may have been completed, and the store given up, in between.
                if Files.exists(Layout.store(in: session.directory)) { throw error }
            }
        }
        return try archiveReader(of: session, cacheBytes: cacheBytes)
    }

    /// A session's archive, checked to be this session's.
    func archiveReader(
        of session: Session, cacheBytes: Int = 0
    ) throws(SessionsError) -> ArchiveReader {
        let record = session.record
        let path = session.archive ?? Layout.archive(in: session.directory)
        let reader: ArchiveReader
        do {
            reader = try ArchiveReader(path: path, cacheBytes: cacheBytes)
        } catch {
            if case .system(let cause) = error { throw .system(cause) }
            throw .damagedStore(session: record.name.text, reason: "\(path): \(error)")
        }
        guard let kept = try? JSON.decode(SessionRecord.self, bytes: Array(reader.metadata.utf8)),
            kept.fault == nil, kept.name == record.name, kept.madeBy == record.madeBy,
            kept.store == record.store, reader.originSize == record.size
        else {
            throw .damagedStore(
                session: record.name.text, reason: "\(path) is the archive of another session")
        }
        return reader
    }

    /// Everything a closed session's store holds, checked.
    func closedStore(of session: Session) throws(SessionsError) -> ClosedStore {
        let record = session.record
        return try closedStore(
            in: session.directory, originSize: record.size, chunkSize: record.chunkSize,
            session: record.name.text)
    }

    /// Everything a closed store holds, checked. Its table must be gone.
    ///
    /// - Parameter count: or else only the first so many exceptions.
    func closedStore(
        in directory: FilePath, originSize: ByteCount, chunkSize: ByteCount, session: String,
        first count: UInt64? = nil
    ) throws(SessionsError) -> ClosedStore {
        do throws(ExceptionStoreError) {
            return try ClosedStore(
                path: Layout.store(in: directory), originSize: originSize,
                expecting: ChunkSize(chunkSize), first: count)
        } catch {
            throw .unreadable(session, error)
        }
    }

    /// The session that an archive file holds, wherever the file lies: somebody else's.
    func session(inArchive path: FilePath) throws(SessionsError) -> Session {
        let metadata: String
        do {
            metadata = try ArchiveInformation(path: path).metadata
        } catch {
            if case .system(let cause) = error { throw .system(cause) }
            throw .damagedStore(session: path.string, reason: "\(error)")
        }
        guard let record = try? JSON.decode(SessionRecord.self, bytes: Array(metadata.utf8)) else {
            throw .damagedStore(
                session: path.string, reason: "it is an archive, but not of a session")
        }
        if let fault = record.fault { throw .damagedStore(session: path.string, reason: fault) }
        return Session(
            directory: path.removingLastComponent(), record: record, archive: path, isForeign: true)
    }
}

extension ClosedStore {
    /// Refuses one that holds another number of chunks than the kernel said.
    func require(_ taken: UInt64?, of session: String) throws(SessionsError) {
        guard taken != UInt64(exceptions.count) else { return }
        throw .damagedStore(
            session: session,
            reason: "the kernel has another number of chunks in its store than its file")
    }
}

extension SessionsError {
    /// A store that can't be opened. Want of memory or descriptors is no damage: a session would be marked invalid by
    /// it.
    static func unreadable(_ session: String, _ error: ExceptionStoreError) -> SessionsError {
        let passing: [Errno] = [.noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem]
        if case .system(let cause) = error, passing.contains(cause.errno) { return .system(cause) }
        return .damagedStore(session: session, reason: "\(error)")
    }
}

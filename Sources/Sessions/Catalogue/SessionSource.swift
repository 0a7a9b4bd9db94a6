import Block
import ExceptionStore
import FoundationEssentials
import SessionArchive
import SystemPackage

/// What a session kept, in whichever form it has it.
extension SnapshotService {
    /// A closed session's chunks, the metadata checked: from its store, or from its archive.
    ///
    /// - Throws: `damagedStore`.
    ///
    /// - Parameter cacheBytes: as an `ArchiveReader` takes it.
    func chunkSource(
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
            throw .damagedStore(session: record.name, reason: "\(path): \(error)")
        }
        guard let kept = try? JSON.decode(SessionRecord.self, bytes: Array(reader.metadata.utf8)),
            kept.name == record.name, kept.activation == record.activation,
            kept.store == record.store, reader.originSize == record.size
        else {
            throw .damagedStore(
                session: record.name, reason: "\(path) is the archive of another session")
        }
        return reader
    }

    /// Everything a closed session's store holds, checked.
    func closedStore(of session: Session) throws(SessionsError) -> ClosedStore {
        let record = session.record
        return try closedStore(
            in: session.directory, originSize: record.size, chunkSize: record.chunkSize,
            session: record.name)
    }

    /// The session that an archive file holds, wherever the file lies.
    func session(inArchive path: FilePath) throws(SessionsError) -> Session {
        let directory = path.removingLastComponent()
        // In its own directory it is the session of that directory.
        if path.lastComponent == Layout.archive(in: directory).lastComponent,
            Files.exists(Layout.record(in: directory))
        {
            return try session(at: directory)
        }
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
        return Session(directory: directory, record: record, archive: path)
    }
}

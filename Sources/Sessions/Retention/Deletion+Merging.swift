import Block
import ExceptionStore
import Restore
import SessionArchive
import SystemPackage

/// A session merged into the one before it.
///
/// 1. The older one's `absorbing.json` names the younger.
/// 2. The union of both takes the place of the older one's archive: written, synced, read back and compared,
///    then renamed. The older one alone, and both together, restore as before.
/// 3. The older one's store goes, if it has one.
/// 4. The older one's record covers the younger's place. From then on the younger is none of the chain.
/// 5. The younger one goes.
/// 6. `absorbing.json` goes.
///
/// A process that dies before the end of 2 has done nothing; after that it is gone on with.
extension Deletion {
    private struct Marker: Codable {
        /// The younger session.
        let session: SessionName
        /// The last place that it covers.
        let lastIndex: Int
    }

    /// - Returns: the older session as it then is.
    func merge(
        _ younger: Session, into older: Session, control: ArchiveControl
    ) throws -> Session {
        try refuseFullFileSystem(younger, older)
        return try holdingArchives(older, younger) { older, younger in
            let marker = Layout.absorbing(in: older.directory)
            try Files.replace(
                marker,
                with: JSON.encode(
                    Marker(
                        session: younger.record.name,
                        lastIndex: younger.record.places.upperBound)))
            do {
                try writeUnion(younger, older, control)
            } catch {
                try? Files.remove(marker)
                throw error
            }
            return try finish(younger, older)
        }
    }

    /// Runs `body` while nobody else makes or changes the archive of either, with what they then are.
    private func holdingArchives<Result>(
        _ older: Session, _ younger: Session, _ body: (Session, Session) throws -> Result
    ) throws -> Result {
        try catalogue.holdingArchive(of: older, patience: patience) {
            try catalogue.holdingArchive(of: younger, patience: patience) {
                try body(
                    catalogue.session(at: older.directory),
                    catalogue.session(at: younger.directory))
            }
        }
    }

    /// Step 2. As long as it takes both are in use, and nothing of them is changed.
    private func writeUnion(
        _ younger: Session, _ older: Session, _ control: ArchiveControl
    ) throws {
        let cacheBytes = 4 << 20
        let plan = try RestorePlan(
            sources: [
                catalogue.chunkSource(of: older, cacheBytes: cacheBytes),
                catalogue.chunkSource(of: younger, cacheBytes: cacheBytes),
            ])
        let record = older.record.absorbing(younger.record, try Self.union(plan))
        let name = younger.record.name.text
        do {
            try ArchiveFiles.create(
                source: try UnionSource(plan),
                metadata: String(decoding: try JSON.encode(record), as: UTF8.self),
                at: Layout.archive(in: older.directory),
                options: catalogue.configuration.archiving, control: control)
        } catch let error as ArchiveError {
            if case .cancelled = error { throw SessionsError.archiveStopped(session: name) }
            if case .system(let cause) = error { throw cause }
            throw SessionsError.notDeletable(
                session: name,
                reason: "it can't be merged into \(older.record.name), the one before it: \(error)")
        }
    }

    private static func union(_ plan: RestorePlan) throws -> SessionRecord.Union {
        let union = try UnionSource(plan)
        return SessionRecord.Union(
            chunkSize: union.chunkSize.bytes, chunks: UInt64(union.exceptions.count),
            bytes: plan.totals.bytes)
    }

    /// Steps 3 to 6; each can be done again.
    private func finish(_ younger: Session, _ older: Session) throws -> Session {
        let whole = try catalogue.archiveReader(of: older)
        try requireAll(of: younger, in: whole)
        let store = Layout.store(in: older.directory)
        if Files.exists(store) {
            try Files.remove(store)
            try Files.synchronizeDirectory(older.directory)
        }
        let union = SessionRecord.Union(
            chunkSize: whole.chunkSize.bytes, chunks: UInt64(whole.exceptions.count),
            bytes: try RestorePlan(sources: [whole]).totals.bytes)
        let covering = try catalogue.changeRecord(in: older.directory) { record in
            guard record.places.upperBound < younger.record.places.upperBound else { return }
            // A restore, or a write past the store, may have changed it since it was looked at.
            let now = try catalogue.session(at: younger.directory).record
            record = record.absorbing(now, union)
        }
        // The archive is another one than the command ran for.
        let note = Layout.after(in: older.directory)
        if Files.exists(note) { try Files.remove(note) }
        try remove(younger)
        try removeMarker(older)
        return covering
    }

    /// Nothing is removed of which there is no other copy.
    private func requireAll(of younger: Session, in whole: any ChunkSource) throws {
        let own = try catalogue.chunkSource(of: younger, cacheBytes: 0)
        let plan = try RestorePlan(sources: [whole, own])
        guard !plan.extents.contains(where: { $0.source == 1 }) else {
            throw SessionsError.notDeletable(
                session: younger.record.name.text,
                reason: "\(whole.path), which it was merged into, has not all of it")
        }
    }

    private func removeMarker(_ older: Session) throws {
        try Files.remove(Layout.absorbing(in: older.directory))
        try Files.synchronizeDirectory(older.directory)
    }

    /// The union takes no more room than both, as long as they are there.
    private func refuseFullFileSystem(_ younger: Session, _ older: Session) throws {
        let base = older.directory.removingLastComponent()
        guard let room = lifecycle.room(in: base) else { return }
        let needed =
            catalogue.storedBytes(in: younger.directory)
            &+ catalogue.storedBytes(in: older.directory)
        guard room.free.bytes < needed else { return }
        throw SessionsError.notDeletable(
            session: younger.record.name.text,
            reason:
                "it has to be merged into \(older.record.name), the one before it, which takes up to "
                + "\(needed) bytes, and \(base) has \(room.free.bytes) free; make room there, or delete "
                + "the older ones first")
    }

    /// What a merge into the session in this directory has left, whose process died.
    func recoverMerge(in directory: FilePath) throws {
        let older = try catalogue.session(at: directory)
        let marker = try JSON.decode(Marker.self, from: Layout.absorbing(in: directory))
        let places = try catalogue.baseDirectories().map { Layout.session(in: $0, marker.session) }
        let younger = try places.first { Files.exists(Layout.record(in: $0)) }.map { place in
            try catalogue.session(at: place)
        }
        try catalogue.holdingArchive(of: older, patience: patience) {
            if let younger, younger.record.chain == older.record.chain,
                younger.record.places.upperBound == marker.lastIndex, holdsUnion(older, marker)
            {
                _ = try finish(younger, older)
                return
            }
            // Nothing had been done, or all of it but this.
            let unfinished = Layout.archive(in: directory)
                .appendingSuffix(ArchiveFiles.temporarySuffix)
            if Files.exists(unfinished) { try Files.remove(unfinished) }
            try removeMarker(older)
        }
    }

    /// Whether the archive is the union: it says so itself.
    private func holdsUnion(_ older: Session, _ marker: Marker) -> Bool {
        guard let reader = try? catalogue.archiveReader(of: older),
            let record = try? JSON.decode(
                SessionRecord.self, bytes: Array(reader.metadata.utf8))
        else { return false }
        return record.places.upperBound >= marker.lastIndex
    }
}

import Block
import SystemPackage

/// What a user calls sessions, and which of them stay.
extension Catalogue {
    /// The session that has this label.
    ///
    /// - Returns: nil if none has.
    /// - Throws: `ambiguousLabel` if several have.
    func session(
        labelled text: String, in bases: [FilePath]
    ) throws(SessionsError) -> Session? {
        guard let label = SessionLabel(text) else { return nil }
        let named = readable(in: bases).filter { $0.record.label == label }
        guard named.count <= 1 else {
            throw .ambiguousLabel(label.text, sessions: named.map(\.record.name))
        }
        return named.first
    }

    /// A session of this machine, to have its record changed or to be deleted.
    ///
    /// - Throws: `unsuitable` for one that lies elsewhere, and for a lone archive.
    func ownSession(named text: String) throws(SessionsError) -> Session {
        let session = try session(named: text)
        let bases = try baseDirectories()
        guard session.archive == nil, !session.isForeign,
            bases.contains(session.directory.removingLastComponent())
        else {
            throw .unsuitable(
                device: text,
                reason: "it does not lie in a sessions' directory of this machine; what lies "
                    + "elsewhere is changed, or removed, as any other file")
        }
        return session
    }

    /// Gives a session a label, or takes it away.
    ///
    /// - Parameter text: nothing to take it away.
    /// - Returns: the session as it then is.
    /// - Throws: `unsuitable` for what can't be a label.
    func label(_ name: String, _ text: String) throws(SessionsError) -> Session {
        let session = try ownSession(named: name)
        let label = SessionLabel(text)
        guard text.isEmpty || label != nil else {
            throw .unsuitable(
                device: "session \(session.record.name)",
                reason: "a label has at most \(SessionLabel.mostBytes) bytes of UTF-8 in one line, "
                    + "and no control characters; give it a shorter or plainer one")
        }
        return try changeRecord(in: session.directory) { $0.label = label }
    }

    /// What a session takes on disk, in bytes.
    func storedBytes(in directory: FilePath) -> UInt64 {
        let names = (try? Files.list(directory)) ?? []
        return names.reduce(0) { sum, name in
            sum
                &+ ((try? FileStatus(directory.appending(name), follow: false).allocated.bytes) ?? 0)
        }
    }
}

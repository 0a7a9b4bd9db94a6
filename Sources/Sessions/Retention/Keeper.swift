internal import Block
internal import DeviceMapper
internal import FoundationEssentials
public import SessionArchive
internal import SystemPackage

/// What keeping sessions takes: their labels and pins, and which of them go.
public struct Keeper: Sendable {
    let lifecycle: Lifecycle
    /// How long `delete` waits for who uses a session: a session that was closed just now is compressed.
    var patience: Duration = .seconds(10)

    var catalogue: Catalogue { lifecycle.catalogue }
    /// For whom has other things to do than to wait.
    var deletion: Deletion { Deletion(lifecycle: lifecycle, patience: .zero) }

    /// Gives a session a label, up to 200 bytes of text in one line.
    ///
    /// - Parameter text: nothing to take the label away.
    /// - Returns: the session as it then is.
    /// - Throws: `unsuitable` for what can't be a label, or a session that lies elsewhere.
    public func label(_ name: String, _ text: String) throws(SessionsError) -> Session {
        try catalogue.label(name, text)
    }

    /// Lets sessions stay whatever is pruned, or no longer.
    ///
    /// - Returns: the sessions as they then are.
    /// - Throws: `noSuchSession`, or `unsuitable` for one that lies elsewhere, before anything is changed.
    @discardableResult
    public func pin(_ names: [String], _ isPinned: Bool) throws(SessionsError) -> [Session] {
        let sessions = try names.map { name throws(SessionsError) in
            try catalogue.ownSession(named: name)
        }
        return try sessions.map { session throws(SessionsError) in
            try catalogue.changeRecord(in: session.directory) { $0.pinned = isPinned }
        }
    }

    /// What became of a session that was to be deleted.
    public enum Outcome: Sendable {
        /// It is gone.
        case deleted(SessionName)
        /// What it had is in this older one, which older ones still need, and it is gone.
        case merged(SessionName, into: SessionName)
    }

    /// Deletes sessions, the older ones first; one that older ones need is merged into the one before it.
    ///
    /// - Parameters:
    ///   - names: as `session(named:)` takes them.
    ///   - control: tells how far a merge is, and may stop it; what was to be merged is then as it was.
    ///   - report: called with each as soon as it is gone.
    /// - Throws: `busy`, `unsuitable` for a pinned one, `notDeletable`; those before it are gone.
    public func delete(
        _ names: [String], control: ArchiveControl = ArchiveControl(),
        report: (Outcome) throws -> Void = { _ in }
    ) throws {
        var sessions: [Session] = []
        for name in names {
            let session = try catalogue.ownSession(named: name)
            if !sessions.contains(where: { $0.directory == session.directory }) {
                sessions.append(session)
            }
        }
        let deletion = Deletion(lifecycle: lifecycle, patience: patience)
        try deletion.holding {
            for session in sessions.sorted(by: { $0.record.index < $1.record.index }) {
                // A command that was killed had begun with it, and that has just been ended.
                guard Files.exists(session.directory) else {
                    try report(.deleted(session.record.name))
                    continue
                }
                try report(delete(session, deletion, control: control))
            }
        }
    }

    /// - Parameter expected: how it is to go; it stays if it can't go so.
    func delete(
        _ session: Session, _ deletion: Deletion, expected: Removal.Way? = nil,
        control: ArchiveControl
    ) throws -> Outcome {
        // A session that was just deleted may have changed the one before it.
        let session = try catalogue.session(at: session.directory)
        let name = session.record.name
        switch try deletion.way(for: session) {
        case .whole:
            try require(expected, .deleted, name)
            try deletion.remove(session)
            return .deleted(name)
        case .merging(let older):
            try require(expected, .merged(into: older.record.name), name)
            return .merged(
                name, into: try deletion.merge(session, into: older, control: control).record.name)
        }
    }

    private func require(
        _ expected: Removal.Way?, _ way: Removal.Way, _ name: SessionName
    ) throws(SessionsError) {
        guard let expected, expected != way else { return }
        throw .notDeletable(
            session: name.text, reason: "one that was to go before it is there still")
    }

    /// Goes on with what a process that died while it deleted has left, or undoes it.
    ///
    /// - Returns: what could not be ended.
    public func recover() throws(SessionsError) -> [SessionsError] {
        try deletion.recover()
    }
}

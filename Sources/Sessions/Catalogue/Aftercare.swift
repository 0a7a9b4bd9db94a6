internal import Block
public import FoundationEssentials
internal import Glibc
internal import SystemPackage

/// `[archive] after`: a command that is run for each archive of this machine, at least once: to copy it
/// elsewhere, for instance.
///
/// What became of it is kept beside the archive, so that a reboot changes nothing. A command that fails is
/// run again, after ten seconds at first and twice as long each time, up to an hour.
public struct Aftercare: Sendable {
    /// How long a command may take, in seconds: a day.
    static let limit = 86_400

    let catalogue: Catalogue

    /// What is kept of a session's command; nothing is before its first end.
    struct Note: Codable {
        /// The form of this note; one that isn't known is taken for none.
        static let currentVersion = 1

        var version = Self.currentVersion
        /// How often it has failed.
        var attempts = 0
        /// Why, the last time.
        var failure: String?
        /// When it may be run again; nil if it has succeeded.
        var due: Date?
    }

    /// How it went for one session.
    public enum Outcome: Sendable {
        case succeeded(SessionName)
        /// It is run again then.
        case failed(SessionName, reason: String, due: Date)
    }

    /// When the next command is due: now, or in the past, or later; nil if none is waited for.
    public func nextDue() -> Date? {
        waiting().map { $0.note?.due ?? .distantPast }.min()
    }

    /// Runs the command for each archive for which it is due, one after the other, the oldest first; unless
    /// somebody does.
    ///
    /// - Parameter report: called with each when it has ended.
    public func run(report: (Outcome) -> Void) throws(SessionsError) {
        try asSessionsError {
            try Files.makeDirectory(catalogue.layout.runDirectory)
            guard let lock = try FileLock.takeIfFree(catalogue.layout.afterLock) else { return }
            try lock.holding {
                while let next = waiting().first(where: isDue) {
                    if let outcome = try run(for: next.session, next.note) { report(outcome) }
                }
            }
        }
    }

    /// What there is to say of a device's sessions; nil if no command is waited for.
    func status(of device: ByteText) -> AfterStatus? {
        let own = waiting().filter { $0.session.record.device == device }
        guard !own.isEmpty else { return nil }
        let failed = own.first { $0.note?.failure != nil }
        return AfterStatus(
            waiting: own.count, session: failed?.session.record.name,
            attempts: failed?.note?.attempts ?? 0, failure: failed?.note?.failure,
            due: failed?.note?.due)
    }

    /// Whether somebody is at it.
    public func isRunning() -> Bool {
        guard Files.exists(catalogue.layout.afterLock) else { return false }
        return (try? FileLock.takeIfFree(catalogue.layout.afterLock) == nil) ?? false
    }

    private typealias Waiting = (session: Session, note: Note?)

    /// Every session with an archive whose command has not succeeded, the oldest first. What somebody has
    /// sent here is not copied away again.
    private func waiting() -> [Waiting] {
        guard !catalogue.configuration.afterArchive.isEmpty else { return [] }
        var found: [Waiting] = []
        for base in (try? catalogue.baseDirectories()) ?? [] {
            for name in (try? Files.list(base)) ?? [] where SessionName(name) != nil {
                let directory = base.appending(name)
                // While the store is there the archive is still being compared with it.
                guard Files.exists(Layout.archive(in: directory)),
                    !Files.exists(Layout.store(in: directory))
                else { continue }
                let note = note(in: directory)
                if let note, note.due == nil { continue }
                guard let session = try? catalogue.session(at: directory),
                    session.record.state == .archived, !session.record.isReceived
                else { continue }
                found.append((session, note))
            }
        }
        return found.sorted { $0.session.record.openedAt < $1.session.record.openedAt }
    }

    private func isDue(_ one: Waiting) -> Bool {
        one.note?.due.map { $0 <= catalogue.now() } ?? true
    }

    private func note(in directory: FilePath) -> Note? {
        let path = Layout.after(in: directory)
        guard Files.exists(path), let note = try? JSON.decode(Note.self, from: path),
            note.version == Note.currentVersion
        else { return nil }
        return note
    }

    /// - Returns: nil where the session was deleted before it was held: nothing was run.
    private func run(for session: Session, _ before: Note?) throws -> Outcome? {
        let name = session.record.name
        var note = before ?? Note()
        note.failure = nil
        note.due = nil
        do {
            // It is not deleted meanwhile.
            let status = try catalogue.holding(session) { try execute(for: session) }
            if status == 124 {
                note.failure = "it took longer than \(Self.limit / 3600) hours, and was stopped"
            } else if status != 0 {
                note.failure = "exit status \(status)"
            }
        } catch {
            note.failure = "\(error)"
        }
        guard Files.exists(session.directory) else {
            return note.failure == nil ? .succeeded(name) : nil
        }
        guard let reason = note.failure else {
            try Files.replace(Layout.after(in: session.directory), with: JSON.encode(note))
            return .succeeded(name)
        }
        note.attempts = min(note.attempts, 1 << 20) + 1
        let pause = min(10 << min(note.attempts - 1, 10), 3600)
        let due = catalogue.now().addingTimeInterval(Double(pause))
        note.due = due
        try Files.replace(Layout.after(in: session.directory), with: JSON.encode(note))
        return .failed(name, reason: reason, due: due)
    }

    /// - Returns: its exit status, as timeout(1) has it.
    private func execute(for session: Session) throws -> Int32 {
        let record = session.record
        let values = [
            ("DMSNAP_SESSION", record.name.text), ("DMSNAP_DIRECTORY", session.directory.string),
            ("DMSNAP_ARCHIVE", Layout.archive(in: session.directory).string),
            ("DMSNAP_DEVICE", record.device.text),
        ]
        for (key, value) in values { unsafe setenv(key, value, 1) }
        return try Program.run(
            ["/usr/bin/timeout", "--kill-after=10", "\(Self.limit)"]
                + catalogue.configuration.afterArchive)
    }
}

/// The command for a device's archives, where it has not been run for all.
public struct AfterStatus: Sendable, Hashable, Codable, CustomStringConvertible {
    /// How many archives it has not succeeded for.
    public let waiting: Int
    /// The oldest session that it has failed for; nil if it is only to be run.
    public let session: SessionName?
    /// How often it has failed for that.
    public let attempts: Int
    /// Why, the last time.
    public let failure: String?
    /// When it is run again for that.
    public let due: Date?

    private enum CodingKeys: String, CodingKey {
        case waiting, session, attempts, failure, due
    }

    /// Writes every key, also those that are null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(waiting, forKey: .waiting)
        try container.encode(session, forKey: .session)
        try container.encode(attempts, forKey: .attempts)
        try container.encode(failure, forKey: .failure)
        try container.encode(due, forKey: .due)
    }

    /// One line for the user.
    public var description: String {
        let all = "the command for archives is still to be run for \(waiting)"
        guard let session, let failure, let due else { return all }
        return all
            + "; for session \(session) it has failed \(attempts) times: \(failure); it is run "
            + "again at \(due.formatted(.iso8601))"
    }
}

/// What a life is lived on: dmsnap on a simulated kernel, or on a real one.
///
/// What calls dmsnap throws a `Refusal` if it is refused; any other error fails the life.
package protocol LifeMachine: AnyObject {
    /// Whether a restore's own session has only what the restore has changed, and not all that it wrote.
    var capturesChangesOnly: Bool { get }
    /// Whether a reader sees what was written while it is mounted.
    var canReadMounted: Bool { get }
    /// Whether archives are made by a monitor that does all else that is due as well.
    var archivesWithMonitor: Bool { get }
    /// Whether a comparison finds every difference, where it takes samples of a larger device.
    var comparesAll: Bool { get }
    /// Whether `min-free` can be chosen to the byte, and pruned as the monitor does by itself.
    var knowsRoom: Bool { get }
    /// What a reader of the device gets. Nobody may have it mounted.
    func contents() throws -> [UInt8]
    /// The sessions as they are listed, the oldest first.
    func sessions() throws -> [ListedSession]
    /// Where the device's next session goes; nil while it is not activated.
    func place() throws -> ChainPosition?
    /// What never may be, and is: suspended devices, stores that are nobody's.
    ///
    /// - Parameter afterDeath: of a process, which may leave a lock file.
    func faults(afterDeath: Bool) throws -> [String]
    /// What a deletion has left halfway: marks of a merge, and what is no session any more.
    func remains() throws -> [String]

    /// Activates the device.
    func activate() throws
    /// Deactivates it.
    func deactivate() throws
    /// Puts it together again after a boot.
    func assemble() throws
    /// Restores a session; to a copy of the device that holds `copy` if that is given.
    func restore(
        _ session: ListedSession, _ way: RestoreWay, copy: [UInt8]?
    ) throws -> RestoreResult
    /// Puts the device back to before its last mount.
    func reset() throws -> ResetResult
    /// What the copy holds that a session was restored to last.
    func copied() throws -> [UInt8]
    /// Makes what archives are due; at most so many, where that can be chosen.
    ///
    /// - Returns: whether all could be made.
    func archive(atMost count: Int) throws -> Bool
    /// Deletes sessions, in one command.
    func delete(_ sessions: [ListedSession]) throws -> DeletionResult
    /// Lets a session stay whatever is pruned, or no longer.
    func pin(_ session: ListedSession, _ isPinned: Bool) throws
    /// Lets sessions go by a rule, which holds for this once.
    func prune(_ order: PruneOrder) throws -> DeletionResult
    /// What a session takes on disk, in bytes.
    func bytes(of session: ListedSession) throws -> UInt64
    /// The path that is activated; nil while none is.
    func activatedPath() throws -> String?

    /// Mounts it, and waits until its session is open.
    ///
    /// - Returns: false if there is no file system to be mounted, after a restore that an option has forced.
    func mount() throws -> Bool
    /// Writes to it, mounted or not; what is written the number says.
    func write(_ number: Int) throws
    /// Makes what was written durable.
    func synchronize() throws
    /// Unmounts it and mounts it again before anybody looks, or mounts it anew.
    func remount() throws
    /// Unmounts it.
    func unmount() throws
    /// Lets the monitor do what is due, to its end.
    func monitor() throws
    /// Ends the present session of a device, which may be in use, and begins another.
    ///
    /// - Returns: what the device held then, where that can't be known otherwise.
    func checkpoint() throws -> [UInt8]?
    /// Lets the kernel put back so many chunks of an online restore.
    func merge(_ chunks: Int) throws
    /// Whether an online restore is under way, and not all is back.
    func isMerging() throws -> Bool

    /// The machine stops and boots; nothing is put together. Of what no flush came after some is lost
    /// if `losing` says which.
    func crash(losing: Int?) throws
    /// Writes to the device itself.
    func writePast(_ number: Int) throws
    /// Gives the device another name.
    ///
    /// - Returns: false if it can't have one.
    func rename() throws -> Bool
    /// Lets the present store run full.
    ///
    /// - Returns: false where that can't be done.
    func fillStore(_ number: Int) throws -> Bool
    /// Deletes a session's directory.
    func remove(_ session: ListedSession) throws
    /// Flips one of the bits that a reader has to find.
    func damage(_ session: ListedSession, _ number: Int) throws

    /// Lets the process of whatever `body` calls die before its change `number`, boots the machine if
    /// `number` is odd, and lets the monitor put right what was left, an online restore's end included.
    ///
    /// - Parameter halfway: called after the death and before anything is put right.
    /// - Returns: false if it didn't live so long, or processes can't be killed here.
    func dying(
        before number: Int, _ body: () throws -> Void, halfway: () throws -> Void
    ) throws -> Bool
    /// What the device held when this store began to capture, if anybody saw it.
    func beginning(of store: String) -> [UInt8]?
}

/// How a session is restored.
package enum RestoreWay: Sendable {
    case plain, acceptingWrites, online
}

/// dmsnap has refused something.
package struct Refusal: Error, CustomStringConvertible {
    /// The exit status.
    package let status: Int
    /// The message.
    package let message: String

    /// A refusal of this status.
    package init(status: Int, message: String) {
        self.status = status
        self.message = message
    }

    /// The session that undoes what was done before it was refused: of a restore that was found to have
    /// come to something else.
    package var undo: String? {
        let words = message.split(separator: " ")
        guard message.contains("to undo the restore"),
            let option = words.lastIndex(of: "--session"), option + 1 < words.count
        else { return nil }
        return words[option + 1].split(whereSeparator: \.isWhitespace).first.map(String.init)
    }

    /// Both.
    package var description: String { "refused (\(status)): \(message)" }
}

/// What a restore says of itself.
package struct RestoreResult {
    /// It says that the device is what it was.
    package let isProven: Bool
    /// It says so on a condition: that nothing wrote to it where that isn't seen.
    package let isConditional: Bool
    /// The kernel goes on with it.
    package let isOnline: Bool
    /// It was done to the session's own device, by its name.
    package let isOwn: Bool
    /// The session that undoes it, of a restore that is done.
    package let undo: String?

    /// A restore that said this.
    package init(
        isProven: Bool, isConditional: Bool, isOnline: Bool, isOwn: Bool, undo: String?
    ) {
        self.undo = undo
        self.isConditional = isConditional
        self.isProven = isProven
        self.isOnline = isOnline
        self.isOwn = isOwn
    }
}

/// What a reset says of itself.
package enum ResetResult {
    /// There is no mount to undo.
    case nothingToUndo
    /// This session was restored.
    case restored(String, RestoreResult)
}

/// A place in a chain.
package struct ChainPosition: Hashable, Sendable {
    /// The chain's own name.
    package let chain: String
    /// From 0.
    package let index: Int

    /// A place.
    package init(chain: String, index: Int) {
        self.chain = chain
        self.index = index
    }
}

/// A session, as its record says.
package struct ListedSession: Hashable, Sendable {
    /// Its name.
    package var name: String
    /// The activation and number of its store.
    package var store: String
    /// Its place in a chain.
    package var position: ChainPosition
    /// Nothing has ended it yet.
    package var isCurrent: Bool
    /// It missed writes.
    package var isInvalid: Bool
    /// It says that something wrote past it.
    package var isBroken: Bool
    /// A restore that nothing captured went back to before it.
    package var isUndone: Bool
    /// A crash was its end.
    package var isInterrupted: Bool
    /// It begins in the middle of an online restore.
    package var isMidway: Bool
    /// It knows what the device was like at its end.
    package var hasEnd: Bool
    /// The last place in the chain that it covers: later sessions were merged into it.
    package var lastIndex: Int
    /// It stays whatever is pruned.
    package var isPinned: Bool
    /// A restore of it was cut short.
    package var isHalfway: Bool
    /// What was activated: the path then.
    package var device: String
    /// When it was opened, in ISO 8601: later is greater.
    package var openedAt: String

    /// A session of this name and store, whole.
    package init(name: String, store: String, position: ChainPosition) {
        self.name = name
        self.store = store
        self.position = position
        isCurrent = false
        isInvalid = false
        isBroken = false
        isUndone = false
        isInterrupted = false
        isMidway = false
        hasEnd = true
        lastIndex = position.index
        isPinned = false
        isHalfway = false
        device = ""
        openedAt = ""
    }

    /// Those of them that no other one covers: what is still there of one that was merged is about to go.
    package static func left(of sessions: [ListedSession]) -> [ListedSession] {
        sessions.filter { session in
            !sessions.contains { other in
                other.position.chain == session.position.chain
                    && other.position.index < session.position.index
                    && other.lastIndex >= session.lastIndex
            }
        }
    }
}

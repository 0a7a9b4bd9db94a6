public import Block
public import FoundationEssentials

/// A session, as its `session.json` says.
public struct SessionRecord: Sendable, Codable {
    /// The session's state.
    public enum State: String, Sendable, Codable {
        /// Mounted, capturing.
        case open
        /// Closed, with the raw store.
        case closed
        /// Closed, compressed and checksummed.
        case archived
        /// Its store missed writes: it can't be restored from.
        case invalid
    }

    /// What opened it.
    public enum Kind: String, Sendable, Codable {
        /// A mount.
        case mount
        /// Writes outside a mount: fsck, mkfs, dd, a restore.
        case offline
        /// A checkpoint in the middle of a mount, which went on in it.
        case checkpoint
    }

    /// The form of this record; a reader refuses one that it doesn't know.
    public static let currentVersion = 1

    /// The record's form.
    public var version: Int = Self.currentVersion
    /// The session's name.
    public var name: SessionName
    /// A mount's session or an offline one.
    public var kind: Kind
    /// The session's state.
    public var state: State
    /// What was activated: the path then.
    public var device: ByteText
    /// `<name>` of the activation.
    public var deviceName: ByteText
    /// A block device or an image.
    public var deviceKind: Activation.Kind
    /// What the device is.
    public var identity: SourceIdentity
    /// The device's size in bytes.
    public var size: ByteCount
    /// The activation that made it, and the number of its store there.
    public var activation: String
    /// The store's number in the activation.
    public var store: Int
    /// The chain it is part of.
    public var chain: String
    /// Its place in the chain, from 0.
    public var index: Int
    /// Of one that later ones were merged into: the place of the last of them. Nil for its own place alone.
    public var lastIndex: Int?
    /// In bytes.
    public var chunkSize: ByteCount
    /// When the mount was seen.
    public var openedAt: Date
    /// When it was closed; nil while open.
    public var closedAt: Date?
    /// Where it was mounted first, if that was seen.
    public var mountPoint: String?
    /// The file system's type, if the mount was seen.
    public var fileSystem: String?
    /// What its owner calls it.
    public var label: SessionLabel?
    /// Whether it stays, whatever is pruned; nil as false, which earlier records don't have.
    public var pinned: Bool?
    /// Chunks kept; nil while open.
    public var chunks: UInt64?
    /// Bytes of the device that those are.
    public var bytes: UInt64?
    /// It was cut short by a crash or a power cut: what was written to the device between that and
    /// the next assembly is in no session, and can't all be known.
    public var interrupted: Bool = false
    /// Why it is invalid.
    public var loss: String?
    /// Something that can't be known was seen, as a program that had the device itself open: what
    /// a restore says is under that condition.
    public var doubt: String?
    /// For a time after its end nothing would have captured what was written to the device, and only
    /// samples tell that nothing was; nil as false, which earlier records don't have.
    public var unwatchedAfter: Bool?
    /// The device when the store was armed.
    public var baseline: Fingerprint
    /// The device at the session's end; of the chain's last session, kept up by restores.
    public var end: Fingerprint?
    /// Why it isn't the whole of what changed while it was open, if somebody wrote past us.
    public var broken: String?
    /// The earlier session that the device, while it was not activated, was put back to: what this
    /// one would put back no longer fits.
    public var undoneBy: SessionName?
    /// For an offline session that a restore made, or one that shares its store with a restore: the session
    /// restored.
    public var restoreOf: SessionName?
    /// That restore came to no end: it died, or failed, in the middle. Nil as false, which earlier records don't
    /// have.
    public var isPartOfRestore: Bool?
    /// The session in which the online restore began that this one saw the end of. Where this one
    /// begins is no state that the device ever showed, so nothing goes back to there.
    public var continues: SessionName?

    /// The instant of its device's group that restoring it goes back to; nil if that had none in common then, and
    /// of a device that was in no group.
    public var instant: GroupInstant?

    /// Whether it stays, whatever is pruned.
    public var isPinned: Bool { pinned ?? false }

    /// Whether something was mounted in it: a crash may have come before anybody had seen that.
    var isOfMount: Bool { kind != .offline || interrupted && restoreOf == nil }

    /// Whether nothing but a restore wrote in it, as far as anybody has seen, and that came to its end.
    var isOfRestore: Bool { kind == .offline && restoreOf != nil && isPartOfRestore != true }

    /// Whether what wrote in it is a restore that came to no end: the device was left neither as it was before nor
    /// as it was to be.
    var isOfPartOfRestore: Bool { kind == .offline && isPartOfRestore == true }

    /// Its places in the chain: one, or several where later sessions were merged into it.
    var places: ClosedRange<Int> { index...max(index, lastIndex ?? index) }
}

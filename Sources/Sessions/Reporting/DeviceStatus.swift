public import Block

/// An activated device, as `status --json` prints it.
public struct DeviceStatus: Sendable, Codable {
    /// What a device is doing.
    public enum State: String, Sendable, Codable {
        /// A store captures, nothing is mounted.
        case armed
        /// A session is open.
        case open
        /// The store has missed writes: it is full or failed.
        case invalid
        /// The device, its tables or its store are not there.
        case missing
        /// What is written to it goes into a store in its place.
        case overlay
        /// Nobody uses it, and it is not yet all that it is to be: it is put back to its base, or the kernel still
        /// merges what was restored online. It captures, and can be mounted.
        case restoring
        /// It is in use without us, and is activated when that ends.
        case waiting
    }

    /// What was activated: a block device's or an image's path.
    public let device: ByteText
    /// `<name>` in `dmsnap-<name>`.
    public let name: ByteText
    /// What to mount.
    public let path: ByteText
    /// Its state.
    public let state: State
    /// A block device or an image.
    public let kind: Activation.Kind
    /// The open session's name.
    public let session: SessionName?
    /// Whether what is overwritten now is kept.
    public let captured: Bool
    /// Why nothing is captured, why the chain is broken, or why an online restore has stopped; nil where
    /// there is nothing to say.
    public let warning: String?
    /// In bytes.
    public let chunkSize: UInt64
    /// Bytes of the store that are taken, metadata included; nil if its table isn't loaded.
    public let storeUsedBytes: UInt64?
    /// Bytes that the store has.
    public let storeLimitBytes: UInt64?
    /// The archive that is being made of a session of this device; nil if none is.
    public let archiving: ArchivingStatus?
    /// The command for archives, where this device has some that it has not been run for; nil otherwise.
    public let after: AfterStatus?
    /// The online restore that is under way.
    public let merge: MergeProgress?
    /// Whether it is deactivated when nobody uses it any more.
    public let leaving: Bool

    /// Whether what is overwritten is kept, or the device isn't written at all.
    public let mode: Mode
    /// When it is put back by itself, or what was written over it is given up.
    public let restoreAt: RestoreAt
    /// What it is put back to: what it was before this session, or `last`, before its last mount; nil if it never
    /// is, and under an overlay.
    public let base: String?
    /// How many of the times that it was put back can be undone.
    public let keep: Int

    /// The group that it is in; nil if it is in none.
    public let group: GroupName?

    /// See `mode`.
    public enum Mode: String, Sendable, Codable {
        case capture, overlay
    }

    private enum CodingKeys: String, CodingKey {
        case mode, restoreAt, base, keep, group
        case device, name, path, state, kind, session, chunkSize, storeUsedBytes, storeLimitBytes
        case captured, warning, archiving, after, merge, leaving
    }

    /// Writes every key, also those that are null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(device, forKey: .device)
        try container.encode(name, forKey: .name)
        try container.encode(path, forKey: .path)
        try container.encode(state, forKey: .state)
        try container.encode(kind, forKey: .kind)
        try container.encode(session, forKey: .session)
        try container.encode(chunkSize, forKey: .chunkSize)
        try container.encode(storeUsedBytes, forKey: .storeUsedBytes)
        try container.encode(storeLimitBytes, forKey: .storeLimitBytes)
        try container.encode(captured, forKey: .captured)
        try container.encode(warning, forKey: .warning)
        try container.encode(archiving, forKey: .archiving)
        try container.encode(after, forKey: .after)
        try container.encode(merge, forKey: .merge)
        try container.encode(leaving, forKey: .leaving)
        try container.encode(mode, forKey: .mode)
        try container.encode(restoreAt, forKey: .restoreAt)
        try container.encode(base, forKey: .base)
        try container.encode(keep, forKey: .keep)
        try container.encode(group, forKey: .group)
    }
}

public import Block
public import FoundationEssentials

/// A session, as `sessions --json` prints it.
public struct SessionSummary: Sendable, Codable {
    /// What a session is of.
    public enum Kind: String, Sendable, Codable {
        /// A mount.
        case mount
        /// Writes outside a mount: fsck, mkfs, dd.
        case offline
        /// A restore, which it undoes.
        case restore
        /// What followed a checkpoint in the middle of a mount.
        case checkpoint

        init(_ record: SessionRecord) {
            self =
                switch record.kind {
                case .mount: .mount
                case .checkpoint: .checkpoint
                case .offline: record.restoreOf == nil ? .offline : .restore
                }
        }
    }

    /// The session's name.
    public let name: SessionName
    /// Its directory.
    public let directory: ByteText
    /// What was activated: the path then.
    public let device: ByteText
    /// The session's state.
    public let state: SessionRecord.State
    /// When the mount was seen.
    public let openedAt: Date
    /// When it was closed; nil while open.
    public let closedAt: Date?
    /// In bytes.
    public let chunkSize: UInt64
    /// Chunks kept; while open, the chunks taken so far.
    public let chunks: UInt64?
    /// Bytes of the device that those are.
    public let bytes: UInt64?
    /// Bytes that the session takes on disk.
    public let storedBytes: UInt64
    /// Whether it holds everything that its mount overwrote, and is closed.
    public let complete: Bool
    /// What it is of.
    public let kind: Kind
    /// What its owner calls it; nil if nothing.
    public let label: SessionLabel?
    /// Whether it stays, whatever is pruned.
    public let pinned: Bool
    /// Whether a crash cut it short.
    public let interrupted: Bool
    /// What was written past its store, so that it isn't the whole of what changed; nil if nothing was.
    public let broken: String?
    /// Where it was mounted first; nil if that was not seen.
    public let mountPoint: ByteText?
    /// The type of what was on the device, as the mount or libblkid had it; nil if nothing was found.
    public let fileSystem: String?

    private enum CodingKeys: String, CodingKey {
        case name, directory, device, state, openedAt, closedAt, chunkSize, chunks, bytes
        case storedBytes, complete
        case kind, label, pinned, interrupted, broken, mountPoint, fileSystem
    }

    /// Writes every key, also those that are null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(directory, forKey: .directory)
        try container.encode(device, forKey: .device)
        try container.encode(state, forKey: .state)
        try container.encode(openedAt, forKey: .openedAt)
        try container.encode(closedAt, forKey: .closedAt)
        try container.encode(chunkSize, forKey: .chunkSize)
        try container.encode(chunks, forKey: .chunks)
        try container.encode(bytes, forKey: .bytes)
        try container.encode(storedBytes, forKey: .storedBytes)
        try container.encode(complete, forKey: .complete)
        try container.encode(kind, forKey: .kind)
        try container.encode(label, forKey: .label)
        try container.encode(pinned, forKey: .pinned)
        try container.encode(interrupted, forKey: .interrupted)
        try container.encode(broken, forKey: .broken)
        try container.encode(mountPoint, forKey: .mountPoint)
        try container.encode(fileSystem, forKey: .fileSystem)
    }
}

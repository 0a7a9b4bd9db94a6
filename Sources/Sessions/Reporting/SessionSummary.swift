public import Block
public import FoundationEssentials

/// A session, as `sessions --json` prints it.
public struct SessionSummary: Sendable, Codable {
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

    private enum CodingKeys: String, CodingKey {
        case name, directory, device, state, openedAt, closedAt, chunkSize, chunks, bytes
        case storedBytes, complete
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
    }
}

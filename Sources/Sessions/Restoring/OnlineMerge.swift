public import Block
public import FoundationEssentials

/// An online restore: the kernel merges an exception store into the device, which shows the contents
/// that it ends in from the beginning.
public struct OnlineMerge: Hashable, Sendable, Codable {
    /// The session restored.
    public let session: SessionName
    /// When it was asked for.
    public let startedAt: Date
    /// How many chunks are put back.
    public let chunks: UInt64
    /// In bytes: of the store that is merged.
    public let chunkSize: ByteCount
    /// What libblkid finds on the device when all is back: while it is merged the raw device may be
    /// known by either.
    public let contents: Contents
    /// The table has been loaded: from then on the store may hold newer contents than the device, and
    /// is never given up.
    public var isRunning: Bool
}

/// How far an online restore is.
public struct MergeProgress: Hashable, Sendable {
    /// The session restored.
    public let session: SessionName
    /// The bytes that are back on the device itself.
    public let bytesDone: UInt64
    /// The bytes to be put back.
    public let bytesTotal: UInt64
    /// Why it has stopped, and what to do; nil while it goes on.
    public let failure: String?
    /// Everything is back; `recover` ends it.
    public var isComplete: Bool { failure == nil && bytesDone == bytesTotal }

    /// How much is back, 0 to 100.
    public var percent: Int {
        bytesTotal == 0 ? 100 : Int(Double(bytesDone) / Double(bytesTotal) * 100)
    }

    init(_ merge: OnlineMerge, left: UInt64?, failure: String? = nil) {
        session = merge.session
        bytesTotal = merge.chunks &* merge.chunkSize.bytes
        bytesDone =
            left.map { (merge.chunks - min($0, merge.chunks)) &* merge.chunkSize.bytes } ?? 0
        self.failure = failure
    }
}

extension MergeProgress: Codable {
    private enum CodingKeys: String, CodingKey {
        case session, bytesDone, bytesTotal
    }

    /// A failure is told elsewhere.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        session = try container.decode(SessionName.self, forKey: .session)
        bytesDone = try container.decode(UInt64.self, forKey: .bytesDone)
        bytesTotal = try container.decode(UInt64.self, forKey: .bytesTotal)
        failure = nil
    }

    /// The session and both figures.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(session, forKey: .session)
        try container.encode(bytesDone, forKey: .bytesDone)
        try container.encode(bytesTotal, forKey: .bytesTotal)
    }
}

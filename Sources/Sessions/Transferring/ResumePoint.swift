import Block
import SessionArchive

/// How far a session has come that was being received: `NAME:OFFSET:CHECKSUM`.
public struct ResumePoint: Hashable, Sendable, CustomStringConvertible {
    /// The session.
    public let name: SessionName
    /// The bytes of its archive that are there.
    let offset: UInt64
    /// Their checksum.
    let checksum: UInt64

    init(name: SessionName, offset: UInt64, checksum: UInt64) {
        self.name = name
        self.offset = offset
        self.checksum = checksum
    }

    /// - Parameter text: as `description` has it; a name may have colons in it.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, let name = SessionName(parts.dropLast(2).joined(separator: ":")),
            let offset = UInt64(parts[parts.count - 2]), offset <= UInt64(Int64.max),
            let checksum = UInt64(parts[parts.count - 1], radix: 16)
        else { return nil }
        self.init(name: name, offset: offset, checksum: checksum)
    }

    /// One word, if the name is.
    public var description: String {
        "\(name.text):\(offset):\(String(checksum, radix: 16))"
    }
}

/// Why sessions were not sent, or not all received.
public struct TransferFailure: Error, Sendable, CustomStringConvertible {
    /// What is wrong, and what to do.
    public let reason: String
    /// Whether the stream is not what was sent, or can't have been sent.
    public let isDamage: Bool
    /// From where to go on; nil where nothing is kept.
    public let resume: ResumePoint?

    init(_ reason: String, isDamage: Bool = false, resume: ResumePoint? = nil) {
        self.reason = reason
        self.isDamage = isDamage
        self.resume = resume
    }

    /// One line for the user.
    public var description: String {
        guard let resume else { return reason }
        return
            "\(reason); what has come of \(resume.name) is kept: to go on, give `--from \(resume)` to "
            + "`dmsnap send`, and --resume to `dmsnap receive`"
    }
}

/// How sending and receiving tell their caller where they are, and hear that they should stop.
public struct TransferControl: Sendable {
    /// Gets the session, and how many bytes of its archive of how many are done.
    public var report: @Sendable (SessionName, UInt64, UInt64) -> Void
    /// Says whether to stop.
    public var isCancelled: @Sendable () -> Bool

    /// Reports to nobody and never stops, if not told otherwise.
    public init(
        report: @escaping @Sendable (SessionName, UInt64, UInt64) -> Void = { _, _, _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.report = report
        self.isCancelled = isCancelled
    }
}

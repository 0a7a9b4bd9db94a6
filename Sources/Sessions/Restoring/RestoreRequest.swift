public import Block
public import Restore

/// What a restore is asked to do, or a view, which takes of it what says which device is meant, and what it
/// goes on in spite of.
public struct RestoreRequest: Sendable {
    /// A session's name, its directory's path, or an archive file's.
    public var session: String
    /// Restore to this device or file instead of the session's own.
    public var device: String?
    /// Only if this session is the device's latest still; nil whatever has come since.
    public var latest: SessionName?
    /// Read and check everything, write nothing.
    public var dryRun = false
    /// Let the kernel put the contents back while the device can be mounted already.
    public var online = false
    /// Leave out what can't be read, and put back the rest.
    public var skipsDamaged = false
    /// Go on where the device was written without being captured, or where a session of the chain is
    /// missing or not whole.
    public var acceptsWrites = false
    /// Go on where the session's path leads to another device than was activated.
    public var acceptsOtherDevice = false

    /// A restore of `session` to its own device.
    public init(session: String) {
        self.session = session
    }
}

/// What the device was found to be after a restore, beside what was read back of every write.
public enum RestoreProof: Hashable, Sendable {
    /// It was compared with what was recorded when the session's store was armed, in so many places,
    /// and is the same.
    case same(places: Int)
    /// It differs from that in these places.
    case differs([ByteExtent])
    /// Nothing was written.
    case none
}

/// A range of a device's bytes.
public struct ByteExtent: Hashable, Sendable {
    /// In bytes.
    public let offset: UInt64
    /// In bytes.
    public let length: UInt64
}

/// What a restore did.
public struct RestoreOutcome: Sendable {
    /// The session whose baseline the device was to have.
    public let session: Session
    /// Where it was written to.
    public let device: ByteText
    /// The sessions whose stores were united, the restored one first.
    public let chain: [SessionName]
    /// How much, and how long it took.
    public let report: RestoreReport
    /// The offline session that undoes it, if it went through an armed device.
    public let undo: SessionName?
    /// Why nothing undoes it, nor leads to any older session any more, though it went through an armed device.
    public let loss: String?
    /// The kernel has begun and goes on: the device shows the restored contents, and can be mounted.
    public let isOnline: Bool
    /// What the device was found to be.
    public let proof: RestoreProof
    /// What stood against it and was lifted by the request.
    public let overridden: [String]
    /// What can't be known and has to be true, as ends of a sentence: "it is what it was, if …".
    public let conditions: [String]

    /// Whether the device surely is what it was before that mount, as far as anything is sure.
    public var isProven: Bool {
        // What was compared, of one that begins in the middle of an online restore, nobody ever saw.
        guard case .same = proof, session.record.continues == nil else { return false }
        return report.damage.isEmpty
    }
}

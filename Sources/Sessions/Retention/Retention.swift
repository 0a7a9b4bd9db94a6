public import Block
import FoundationEssentials

/// Which sessions go by the rules, and how, as a value: it knows no file and no clock.
///
/// A session that neither `keep-last` nor `keep-within` keeps goes, where one of them is set; then the
/// oldest of a device, until it takes no more than `max-size`; then the oldest of all, until `min-free` is
/// free. Pinned ones stay, and so does what is open or in use. Time is counted back from a device's latest
/// session: no clock that goes wrong takes away what there is.
///
/// From the oldest of a chain on they are deleted. What has an older one before it that stays is merged
/// into that by the rules of number and age; by those of room it is kept, since merging takes room
/// first, and may free none.
struct Retention: Sendable {
    /// A session, and what is known of it beside its record.
    struct Candidate: Sendable {
        let record: SessionRecord
        /// What it takes on disk.
        let bytes: UInt64
        /// The sessions' directory that it is in; those of one have the same room.
        let base: ByteText
        /// Why it can't go, whatever the rules say; nil if it can.
        let obstacle: String?
    }

    /// The room where sessions lie.
    struct Space: Sendable {
        let free: ByteCount
        let size: ByteCount
        /// How much is to be free; 0 for no such wish.
        let minFree: ByteCount
    }

    /// What is to be done, and what could not be reached by it.
    struct Plan: Sendable {
        var removals: [Removal] = []
        var shortfalls: [Shortfall] = []
    }

    /// Of every chain that may be touched all sessions, in any order.
    let candidates: [Candidate]
    let settings: RetentionSettings
    /// By sessions' directory.
    let spaces: [ByteText: Space]

    /// The rules, one after the other.
    func plan() -> Plan {
        var work = Work(self)
        for index in work.devices.indices { work.applyAge(index) }
        for index in work.devices.indices { work.applySize(index) }
        for base in Set(work.devices.flatMap(\.bases)).sorted() { work.applySpace(base) }
        return work.plan
    }
}

/// A session that goes by the rules.
public struct Removal: Sendable, Hashable {
    /// How it goes.
    public enum Way: Sendable, Hashable {
        /// With all that it has: no other one needs it.
        case deleted
        /// What it has goes into this older one.
        case merged(into: SessionName)
    }

    /// The rule that it goes by.
    public enum Rule: String, Sendable, Codable {
        /// It is neither among the last so many nor young enough.
        case age = "keep"
        /// Its device's sessions take too much.
        case size = "max-size"
        /// Too little is free.
        case space = "min-free"
    }

    /// The session.
    public let session: SessionName
    /// What was activated: the path then.
    public let device: ByteText
    /// How it goes.
    public let way: Way
    /// Why.
    public let rule: Rule
    /// What it takes on disk, in bytes.
    public let bytes: UInt64
}

/// What the rules of room can't reach, since every session left is pinned, in use or needed.
public struct Shortfall: Sendable, Hashable {
    /// Which rule.
    public let rule: Removal.Rule
    /// The device's path, or the sessions' directory.
    public let place: ByteText
    /// How much more there should be, in bytes.
    public let bytes: UInt64
}

extension Removal {
    /// What becomes of it, and by which rule, for people and the journal.
    ///
    /// - Parameter isDone: whether it has been done.
    public func description(isDone: Bool) -> String {
        let deed =
            switch way {
            case .deleted: isDone ? "deleted" : "would be deleted"
            case .merged(let older):
                "\(isDone ? "merged" : "would be merged") into \(older), and deleted"
            }
        let reason =
            switch rule {
            case .age: "neither keep-last nor keep-within keeps it"
            case .size: "the sessions of \(device) take more than max-size"
            case .space: "less than min-free is free"
            }
        return "\(deed), since \(reason) (\(ByteCount(bytes).formatted))"
    }
}

extension Shortfall: CustomStringConvertible {
    /// What is missing, why, and what to do.
    public var description: String {
        let missing = ByteCount(bytes).formatted
        let what =
            switch rule {
            case .space: "\(place): \(missing) less than min-free are free"
            case .age, .size: "\(place): its sessions take \(missing) more than max-size"
            }
        return
            "\(what), and no session can go: those left are pinned, needed by pinned ones, open, or "
            + "of devices that are not activated; unpin or delete some, or make room"
    }
}

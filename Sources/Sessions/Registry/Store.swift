public import Block

/// A COW store of an activation: which it is, what it is to bring back, and what is known against it.
public struct Store: Hashable, Sendable, Codable {
    /// Whether the store has everything that was overwritten since it was armed.
    public enum Health: Hashable, Sendable {
        /// Nobody has seen it miss anything.
        case sound
        /// It has missed writes, or isn't there any more: why. It stays so, whatever the store's own
        /// header says.
        case invalid(String)
    }

    /// From 1, within the activation.
    public let number: Int
    /// What the device looked like when the store was armed.
    public var baseline: Fingerprint
    /// The file that the kernel writes to, to be told from another of its name; nil until it is made.
    public var file: FileIdentity?
    /// Whether it has everything.
    public var health = Health.sound
    /// What somebody wrote past the origin since it was armed.
    public var breach: Breach?
    /// The restore that has written to it, or is about to: its session undoes that.
    public var undoes: RestoreTrace?
    /// How many chunks it holds, from when nothing more is written to it; nil while it captures.
    /// Written down before anything is done with the store, so that one that is gone is not taken
    /// for an empty one.
    public var held: UInt64?

    /// Of an absent one: how many writes the origin had completed when it began, if the kernel counts
    /// them. The same number says that nothing has been missed; after a boot it says nothing.
    var writes: UInt64?
    /// When its file system says that it was last checked, in seconds since 1970, as last seen while
    /// the store's session was open; nil while nobody has looked, and where it keeps no such note.
    public var lastCheck: UInt64?

    /// True of one that is to take over in the middle of a mount, until that moment's `baseline` is known;
    /// so it hasn't.
    public internal(set) var awaitsBoundary: Bool?

    /// The instant that it shares with the stores of its device's group: each of them was armed and empty then. Nil
    /// where there was none.
    var instant: GroupInstant?

    init(number: Int, baseline: Fingerprint) {
        self.number = number
        self.baseline = baseline
    }

    /// The first reason is the one to be told.
    mutating func invalidate(_ reason: String) {
        if health == .sound { health = .invalid(reason) }
    }

    /// Whether it never was made: the device goes on, and nothing is captured.
    package var isAbsent: Bool { loss != nil && file == nil }

    /// Why it is of no use; nil if it is.
    var loss: String? {
        guard case .invalid(let reason) = health else { return nil }
        return reason
    }
}

/// Writes that went past the origin, and so into no store.
public struct Breach: Hashable, Sendable, Codable {
    /// Where they lie in the chain.
    public enum Place: String, Sendable, Codable {
        /// Nothing was in the store yet: they lie before its session, which is whole.
        case before
        /// The store held something already: its session isn't the whole of what changed.
        case inside
    }

    /// What was seen.
    public let what: String
    /// Before the store's session, or inside it.
    public let place: Place
}

/// A file, whatever its name: by inode, and by the number of its file system, which another boot may
/// change.
public struct FileIdentity: Hashable, Sendable, Codable {
    /// The inode.
    public let inode: UInt64
    /// st_dev of the file system.
    public let fileSystem: UInt64

    init(_ status: FileStatus) {
        inode = status.inode
        fileSystem = status.fileSystem
    }
}

/// What a restore has written to a store: the old contents, so that it can be undone.
public struct RestoreTrace: Hashable, Sendable, Codable {
    /// How far one came that a process of ours writes.
    public enum Progress: String, Sendable, Codable {
        /// It was about to write. Where that has died, what is in the store is a part of it.
        case begun
        /// Everything is back.
        case ended
    }

    /// The session restored.
    public let session: SessionName
    /// The session made of an earlier store of the same restore, which a crash cut in two.
    public var continues: SessionName?
    /// Nil of an online one: the kernel goes on with that, whoever dies.
    public var progress: Progress?
}

extension Store.Health: Codable {
    /// Null for a sound one, else the reason.
    public init(from decoder: any Decoder) throws {
        let reason = try decoder.singleValueContainer().decode(String?.self)
        self = reason.map { .invalid($0) } ?? .sound
    }

    /// The reason, or null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .sound: try container.encodeNil()
        case .invalid(let reason): try container.encode(reason)
        }
    }
}

public import Block
public import FoundationEssentials
internal import SystemPackage

/// What an activated thing is, whatever it is called today.
public struct SourceIdentity: Hashable, Sendable, Codable {
    /// What libblkid found on it when it was activated; it may change while it is activated.
    public var contents: Contents
    /// WWID, serial, device-mapper UUID, partition number: a block device's.
    public var hardware: [String]
    /// An image file's file system by its device number, which another boot may change.
    public var fileSystem: UInt64?
    /// The UUID of the file system that an image file is in, if it has one.
    public var fileSystemUUID: String?
    /// The inode of an image file.
    public var inode: UInt64?

    /// Whether the hardware, or a lower layer, says who it is. A partition's number alone says
    /// nothing: the first partition of every disk without a serial number has the same.
    var isMarked: Bool {
        hardware.contains { !$0.hasPrefix(BlockDevice.partitionMark) }
    }
}

/// An activated device, as the registry keeps it.
public struct Activation: Hashable, Sendable, Codable, Identifiable {
    /// What is activated.
    public enum Kind: String, Sendable, Codable {
        case block, image
    }

    /// How far a change that takes several steps has come.
    public enum Phase: String, Sendable, Codable {
        /// Being set up; of no use if whoever does it has died.
        case activating
        case active
        case deactivating
    }

    /// Its own, though the same device may be activated again.
    public let id: String
    /// `<name>` in `dmsnap-<name>`.
    public let name: String
    /// `<dev_name>` in its sessions' names.
    public let sessionPrefix: String
    /// Whether it is a block device or an image file.
    public let kind: Kind
    /// As resolved when it was activated.
    public var path: String
    /// What it is, whatever its name.
    public var identity: SourceIdentity
    /// The device's size in bytes.
    public let size: ByteCount
    /// The logical sector in bytes.
    public let sector: UInt32
    /// In bytes.
    public let chunkSize: ByteCount
    /// The sessions' base directory.
    public let baseDirectory: String
    /// The chain that its sessions belong to, and the place there of the next one.
    public var chain: String
    /// The next session's place in the chain, from 0.
    public var nextIndex: Int
    /// The number of the store that captures now.
    public var store: Int
    /// The open session's name; nil while armed.
    public var session: String?
    /// The number of the store that takes over, from before it is made until the old one is closed.
    public var nextStore: Int?
    /// What the device looked like just before `nextStore` took over.
    public var nextBaseline: Fingerprint?
    /// What the device looked like when the current store was armed.
    public var baseline: Fingerprint
    /// How far activation or deactivation is.
    public var phase: Phase
    /// Why the device may have been written without us, since the present store was armed; nil if
    /// nobody saw such a thing.
    public var broken: String?
    /// Whether that was while the current store held something already: then its session, too, is
    /// not the whole of what changed.
    public var isBrokenInside: Bool
    /// The kernel has dropped the current store: it has missed writes. Once true it stays so for
    /// this store, whatever the store's own header says.
    public var isInvalid: Bool
    /// The online restore that the kernel is at, from before its table is loaded until everything is
    /// back.
    public var merge: OnlineMerge?
    /// The online restore that has written to the present store; that store's session undoes it.
    public var restored: OnlineTrace?

    /// What was written without us is in no session: those before can't be restored through it.
    mutating func startChain() {
        chain = UUID().uuidString.lowercased()
        nextIndex = 0
    }

    var base: FilePath { FilePath(baseDirectory) }

    /// The directory of the store that captures now.
    var directory: FilePath {
        if let session, let name = SessionName(session) { return Layout.session(in: base, name) }
        return armedDirectory(store)
    }

    func armedDirectory(_ store: Int) -> FilePath {
        Layout.armed(in: base, activation: id, store: store)
    }

    var mergingDirectory: FilePath { Layout.merging(in: base, activation: id) }
}

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
    }

    /// The form of this record; a reader refuses one that it doesn't know.
    public static let currentVersion = 1

    /// The record's form.
    public var version: Int = Self.currentVersion
    /// The session's name.
    public var name: String
    /// A mount's session or an offline one.
    public var kind: Kind
    /// The session's state.
    public var state: State
    /// What was activated: the path then.
    public var device: String
    /// `<name>` of the activation.
    public var deviceName: String
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
    /// Chunks kept; nil while open.
    public var chunks: UInt64?
    /// Bytes of the device that those are.
    public var bytes: UInt64?
    /// It was cut short by a crash or a power cut.
    public var interrupted: Bool = false
    /// The device when the store was armed.
    public var baseline: Fingerprint
    /// The device at the session's end; of the chain's last session, kept up by restores.
    public var end: Fingerprint?
    /// Why it isn't the whole of what changed while it was open, if somebody wrote past us.
    public var broken: String?
    /// The earlier session that the device, while it was not activated, was put back to: what this
    /// one would put back no longer fits.
    public var undoneBy: String?
    /// For an offline session that a restore made, or one that shares its store with an online
    /// restore: the session restored.
    public var restoreOf: String?
    /// The session in which the online restore began that this one saw the end of. Where this one
    /// begins is no state that the device ever showed, so nothing goes back to there.
    public var continues: String?
}

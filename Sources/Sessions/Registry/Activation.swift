public import Block
internal import FoundationEssentials
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

    /// Whether the hardware, or a lower layer, says who it is.
    var isMarked: Bool { BlockDevice.isMarked(hardware) }
}

/// The sessions' directory: where it is, and what it is. The path alone may lead to what lies below a
/// mount point today, or to another file system that was mounted over it.
public struct BaseDirectory: Hashable, Sendable, Codable {
    /// As resolved when the device was activated.
    public let path: ByteText
    /// The UUID of the file system that holds it, if it has one.
    public let fileSystemUUID: String?
    /// Whether that was written down; an early dmsnap didn't.
    public let isKnown: Bool
}

/// Where a device's next session goes in a chain.
public struct ChainPlace: Hashable, Sendable, Codable {
    /// The chain's own name.
    public let id: String
    /// From 0.
    public var index: Int

    init(id: String, index: Int) {
        self.id = id
        self.index = index
    }

    /// The beginning of a new one.
    static func new() -> ChainPlace {
        ChainPlace(id: UUID().uuidString.lowercased(), index: 0)
    }
}

/// When a device is put back by itself.
public enum RestoreAt: String, Sendable, Codable, CaseIterable {
    /// When somebody says so.
    case never
    /// When it is unmounted, and after a boot.
    case unmount
    /// After a boot.
    case boot
}

/// An activated device, as the registry keeps it.
public struct Activation: Hashable, Sendable, Codable, Identifiable {
    /// What is activated.
    public enum Kind: String, Sendable, Codable {
        case block, image
    }

    /// Its own, though the same device may be activated again.
    public let id: String
    /// `<name>` in `dmsnap-<name>`.
    public let name: ByteText
    /// `<dev_name>` in its sessions' names.
    public let sessionPrefix: ByteText
    /// Whether it is a block device or an image file.
    public let kind: Kind
    /// As resolved when it was activated, or when it was found again under another name.
    public var path: ByteText
    /// What it is, whatever its name.
    public var identity: SourceIdentity
    /// The device's size in bytes.
    public let size: ByteCount
    /// The logical sector in bytes.
    public let sector: UInt32
    /// In bytes.
    public let chunkSize: ByteCount
    /// The sessions' base directory.
    public var base: BaseDirectory
    /// Where its next session goes.
    public var chain: ChainPlace
    /// What it is in the middle of.
    public var state: State
    /// Whether it is deactivated as soon as nobody uses it; nil as false, which earlier ones don't have.
    public internal(set) var isLeaving: Bool?
    /// When what was written over it is given up by itself; nil as never, and of a device that is not under
    /// an overlay.
    public internal(set) var restoreAt: RestoreAt?
    /// Whether its stores are in memory; nil as false, which earlier ones don't have.
    public internal(set) var isInMemory: Bool?
    /// When it is put back by itself, and to what; nil as never, and of a device under an overlay.
    public internal(set) var restorePolicy: RestorePolicy?

    /// When it is put back by itself, or what was written over it is given up.
    public var timeOfRestore: RestoreAt { restoreAt ?? restorePolicy?.at ?? .never }

    /// Whether it is to be put back as soon as nobody uses it.
    public var isToBePutBack: Bool { restorePolicy?.isDueAtUnmount == true }

    /// Whether it has sessions of times that it was put back which nobody is to undo.
    public var hasSpareRoundTrips: Bool { restorePolicy?.hasSpareRoundTrips == true }

    /// The store under the origin; in an exchange the one that was there first.
    public var store: Store {
        get { state.capture.store }
        set { state.capture.store = newValue }
    }

    /// The image's file; nil of a block device.
    var image: FilePath? { kind == .image ? path.path : nil }

    /// Whether a file is the image, by what it is.
    func isImage(_ status: FileStatus) -> Bool {
        kind == .image && identity.inode == status.inode
            && identity.fileSystem == status.fileSystem
    }

    /// The open session's name; nil if none is open.
    public var session: SessionName? { state.capture.session }

    /// The online restore that is under way.
    public var merge: OnlineMerge? {
        guard case .merging(_, let merge) = state else { return nil }
        return merge
    }

    /// Whether its store is being exchanged.
    var isExchanging: Bool { if case .exchanging = state { true } else { false } }

    /// The directory of the store that is under the origin.
    var directory: FilePath {
        session.map { Layout.session(in: base.path.path, $0) } ?? armedDirectory(store.number)
    }

    func armedDirectory(_ store: Int) -> FilePath {
        Layout.armed(in: base.path.path, activation: id, store: store)
    }

    var mergingDirectory: FilePath { Layout.merging(in: base.path.path, activation: id) }
}

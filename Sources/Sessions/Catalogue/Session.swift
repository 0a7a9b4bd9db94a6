public import SystemPackage

/// A session and where it is.
public struct Session: Sendable {
    /// Its directory.
    public let directory: FilePath
    /// What its `session.json`, or its archive, says.
    public let record: SessionRecord
    /// The archive that it was read from, where that lies by itself: nothing but the archive is
    /// then known of the session, and nothing of it is changed.
    public let archive: FilePath?
    /// Whether it lies outside this machine's directories of sessions. What it says of itself is
    /// then somebody's word: the device that it names is no target, and nothing beside it is trusted.
    public let isForeign: Bool

    /// Whether the device that it names is one of this machine's, and a target.
    public var hasOwnDevice: Bool { !isForeign && !record.isReceived }

    /// Whether it goes back to this place of a chain.
    func begins(at place: ChainPlace) -> Bool {
        record.chain == place.id && record.index == place.index
    }

    init(
        directory: FilePath, record: SessionRecord, archive: FilePath? = nil,
        isForeign: Bool = false
    ) {
        self.directory = directory
        self.record = record
        self.archive = archive
        self.isForeign = isForeign
    }
}

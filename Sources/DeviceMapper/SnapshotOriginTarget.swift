public import Block

/// `snapshot-origin`: passes I/O to the origin, after every snapshot of it has its copy
/// (drivers/md/dm-snap.c, Documentation/admin-guide/device-mapper/snapshot.rst).
///
/// Where it splits a bio it computes only when it is resumed: suspend and resume it around every
/// change to its set of snapshots.
public struct SnapshotOriginTarget: Hashable, Sendable {
    /// The target's name in a table.
    public static let type = "snapshot-origin"

    /// The device that is protected.
    public let origin: DeviceNumber

    /// The way to `origin`.
    public init(origin: DeviceNumber) {
        self.origin = origin
    }

    /// - Parameter parameters: `<origin>`, as `major:minor`.
    public init?(parameters: String) {
        guard let origin = DeviceNumber(parameters) else { return nil }
        self.init(origin: origin)
    }

    /// As in a table.
    public var parameters: String { origin.description }
}

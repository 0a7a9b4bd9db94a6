public import Block

/// `snapshot-merge`: an origin into which the kernel copies a COW store's chunks back, with the
/// contents at once that it ends in (drivers/md/dm-snap.c).
///
/// What is not copied yet is read from and written to the store. Other snapshots of the origin keep
/// what merging overwrites, and what is written past the store's chunks, as with `snapshot-origin`;
/// and as there only resuming it computes where bios are split.
public struct SnapshotMergeTarget: Hashable, Sendable {
    /// The target's name in a table.
    public static let type = "snapshot-merge"

    /// The device that is written to.
    public let origin: DeviceNumber
    /// The COW device that is used up.
    public let store: DeviceNumber
    /// In sectors, a power of two.
    public let chunk: SectorCount

    /// A merge of `store` into `origin`.
    public init(origin: DeviceNumber, store: DeviceNumber, chunk: SectorCount) {
        self.origin = origin
        self.store = store
        self.chunk = chunk
    }

    /// - Parameter parameters: as a `snapshot`'s: `<origin> <COW device> P <chunk sectors>`; anything
    ///   else is not of our making and gives nil.
    public init?(parameters: String) {
        guard let same = SnapshotTarget(parameters: parameters), !same.outlastsOverflow else {
            return nil
        }
        self.init(origin: same.origin, store: same.store, chunk: same.chunk)
    }

    /// As in a table.
    public var parameters: String {
        SnapshotTarget(origin: origin, store: store, chunk: chunk).parameters
    }
}

extension Target {
    /// A `snapshot-merge` over a whole device.
    public static func snapshotMerge(
        _ target: SnapshotMergeTarget, length: SectorCount
    ) -> Target {
        Target(length: length, type: SnapshotMergeTarget.type, parameters: target.parameters)
    }
}

/// How far a `snapshot-merge` is, as its status has it.
public enum MergeStatus: Hashable, Sendable {
    /// So many chunks are not copied yet: (allocated − metadata) / chunk, of a store without holes.
    case left(UInt64)
    /// The kernel has stopped at an I/O error. What it had not copied is still in the store, and still
    /// read from there.
    case failed

    /// - Parameters:
    ///   - status: a `snapshot-merge` target's.
    ///   - chunk: the merged store's.
    public init(_ status: SnapshotStatus, chunk: SectorCount) {
        self = status.chunksTaken(chunk: chunk).map { .left($0) } ?? .failed
    }
}

public import Block

/// `snapshot`: the origin as it was, its old chunks in a COW store (drivers/md/dm-snap.c).
public struct SnapshotTarget: Hashable, Sendable {
    /// The target's name in a table.
    public static let type = "snapshot"

    /// The device that is protected.
    public let origin: DeviceNumber
    /// The COW device.
    public let store: DeviceNumber
    /// In sectors, a power of two.
    public let chunk: SectorCount
    /// Whether a full store keeps what it has, and only what is new fails: for one that is written to. Without
    /// it the kernel drops a full store, which a capturing one has to be: it has missed something.
    public let outlastsOverflow: Bool

    /// A snapshot of `origin` in `store`.
    public init(
        origin: DeviceNumber, store: DeviceNumber, chunk: SectorCount,
        outlastsOverflow: Bool = false
    ) {
        self.origin = origin
        self.store = store
        self.chunk = chunk
        self.outlastsOverflow = outlastsOverflow
    }

    /// - Parameter parameters: `<origin> <COW device> P|PO <chunk sectors>`, as `parameters` gives them;
    ///   any other exception store or feature is not of our making and gives nil.
    public init?(parameters: String) {
        let words = parameters.split(separator: " ")
        guard words.count == 4, let origin = DeviceNumber(String(words[0])),
            let store = DeviceNumber(String(words[1])), let chunk = UInt64(words[3])
        else { return nil }
        self.init(
            origin: origin, store: store, chunk: SectorCount(chunk),
            outlastsOverflow: words[2] == "PO")
        if self.parameters != parameters { return nil }
    }

    /// As in a table: `P` for persistent, `PO` with overflow support (Documentation/admin-guide/
    /// device-mapper/snapshot.rst).
    public var parameters: String {
        "\(origin) \(store) \(outlastsOverflow ? "PO" : "P") \(chunk.sectors)"
    }
}

/// The status of a `snapshot` or `snapshot-merge` target.
public enum SnapshotStatus: Hashable, Sendable {
    /// Sectors of the store that are taken (metadata included), that there are, and that are
    /// metadata.
    case usage(allocated: SectorCount, total: SectorCount, metadata: SectorCount)
    /// Dropped by the kernel: its store is full or failed, and has missed writes since.
    case invalid
    case mergeFailed
    case overflow
    case unknown

    /// - Parameter line: as the kernel prints it: `<allocated>/<total> <metadata>`, or one of its
    ///   words (snapshot_status in drivers/md/dm-snap.c).
    public init?(line: String) {
        let line = line.split(separator: " ").joined(separator: " ")
        switch line {
        case "Invalid": self = .invalid
        case "Merge failed": self = .mergeFailed
        case "Overflow": self = .overflow
        case "Unknown": self = .unknown
        default:
            let words = line.split(separator: " ")
            guard words.count == 2, let metadata = UInt64(words[1]) else { return nil }
            let figures = words[0].split(separator: "/", omittingEmptySubsequences: false)
            guard figures.count == 2, let allocated = UInt64(figures[0]),
                let total = UInt64(figures[1])
            else { return nil }
            self = .usage(
                allocated: SectorCount(allocated), total: SectorCount(total),
                metadata: SectorCount(metadata))
            // Swift's integers take `+5` and `05`, which no kernel writes.
            if self.line != line { return nil }
        }
    }

    /// As the kernel prints it.
    public var line: String {
        switch self {
        case .usage(let allocated, let total, let metadata):
            "\(allocated.sectors)/\(total.sectors) \(metadata.sectors)"
        case .invalid: "Invalid"
        case .mergeFailed: "Merge failed"
        case .overflow: "Overflow"
        case .unknown: "Unknown"
        }
    }

    /// Whether there is no room for another exception: a write that needs one fails, or has failed already.
    public func isFull(chunk: SectorCount) -> Bool {
        switch self {
        case .usage(let allocated, let total, _):
            total.sectors < allocated.sectors || total.sectors - allocated.sectors < chunk.sectors
        case .overflow: true
        case .invalid, .mergeFailed, .unknown: false
        }
    }

    /// Chunks handed out for exceptions, committed or not: (allocated − metadata) / chunk.
    ///
    /// nil unless the status is a usage; holes that a crash left count as well.
    public func chunksTaken(chunk: SectorCount) -> UInt64? {
        guard case .usage(let allocated, _, let metadata) = self, chunk.sectors > 0,
            allocated >= metadata
        else { return nil }
        return (allocated.sectors - metadata.sectors) / chunk.sectors
    }
}

internal import Block
public import DeviceMapper
public import FoundationEssentials

/// The names that dmsnap gives: device-mapper's, and the sessions'. They are built here only.
public enum MapperNames {
    static let originPrefix = "dmsnap-"
    /// The store's number follows, so that a new snapshot stands beside the old one. No origin's name
    /// starts like this.
    static let snapshotPrefix = "dmsnapcow-"
    static let uuidPrefix = "DMSNAP-"

    /// What is mounted: `/dev/mapper/dmsnap-<name>`.
    public static func origin(_ activation: Activation) throws(SessionsError) -> DeviceName {
        try name(originPrefix + activation.name)
    }

    static func snapshot(
        _ activation: Activation, store: Int
    ) throws(SessionsError) -> DeviceName {
        try name("\(snapshotPrefix)\(activation.name)-\(store)")
    }

    private static func name(_ text: String) throws(SessionsError) -> DeviceName {
        guard let name = DeviceName(text) else {
            throw .internalFault("\(text) can't be a device-mapper name")
        }
        return name
    }

    static func originUUID(_ activation: Activation) throws(SessionsError) -> DeviceUUID {
        try uuid("\(uuidPrefix)\(activation.id)-origin")
    }

    static func snapshotUUID(
        _ activation: Activation, store: Int
    ) throws(SessionsError) -> DeviceUUID {
        try uuid("\(uuidPrefix)\(activation.id)-cow-\(store)")
    }

    private static func uuid(_ text: String) throws(SessionsError) -> DeviceUUID {
        guard let uuid = DeviceUUID(text) else {
            throw .internalFault("\(text) can't be a device-mapper UUID")
        }
        return uuid
    }

    /// Whether a device is of dmsnap's making.
    public static func isOurs(uuid: String) -> Bool {
        uuid.hasPrefix(uuidPrefix)
    }

    /// Whether a device is of this activation's making.
    static func belongs(uuid: String, to activation: Activation) -> Bool {
        uuid.hasPrefix("\(uuidPrefix)\(activation.id)-")
    }

    /// `<name>` for a device or an image, the first that `isTaken` does not refuse.
    ///
    /// Long ones are cut so that every name built from them fits device-mapper's limit, escaped.
    static func unique(_ wanted: String, isTaken: (String) -> Bool) -> String {
        var base = String(wanted.map { $0 == "/" ? "-" : $0 })
        // Room for the longer prefix, the escapes, "-<n>" to be unique and "-<store>".
        while DeviceName(snapshotPrefix + base + "-00000-0000000000") == nil, !base.isEmpty {
            base.removeLast()
        }
        if base.isEmpty { base = "device" }
        var name = base
        var number = 2
        while isTaken(name) {
            name = "\(base)-\(number)"
            number += 1
        }
        return name
    }
}

/// A session's name and its directory's: `<dev_name>_<mount_timestamp>`, with `-2`, `-3` … behind it
/// if that second is taken.
public struct SessionName: Hashable, Sendable, CustomStringConvertible {
    /// The name itself.
    public let text: String

    /// The name, for messages.
    public var description: String { text }

    /// - Parameter text: a name that could be a directory's and isn't hidden.
    public init?(_ text: String) {
        guard !text.isEmpty, !text.hasPrefix("."), !text.utf8.contains(UInt8(ascii: "/")),
            !text.utf8.contains(0), text.utf8.count <= 255
        else { return nil }
        self.text = text
    }

    /// The `attempt`-th name (from 1) for a mount at `time`.
    init(prefix: String, time: Date, attempt: Int) {
        let suffix = "_" + Timestamp.text(time) + (attempt > 1 ? "-\(attempt)" : "")
        var prefix = prefix
        while prefix.utf8.count + suffix.utf8.count > 255 { prefix.removeLast() }
        text = prefix + suffix
    }

    /// `<dev_name>` of a block device: its kernel name, `/` as `!` like in sysfs.
    static func prefix(kernelName: String) -> String {
        String(kernelName.map { $0 == "/" ? "!" : $0 })
    }

    /// `<dev_name>` of an image file: its absolute path, every `/` but the first a `_`.
    static func prefix(imagePath: String) -> String {
        let name = String(imagePath.drop { $0 == "/" }.map { $0 == "/" ? "_" : $0 })
        return name.hasPrefix(".") ? "_" + name : name
    }
}

/// The mount's time in a session's name.
public enum Timestamp {
    /// In UTC, as `20261124T103855Z`.
    public static func text(_ time: Date) -> String {
        time.formatted(
            .iso8601.year().month().day().dateSeparator(.omitted).time(
                includingFractionalSeconds: false
            )
            .timeSeparator(.omitted).timeZone(separator: .omitted))
    }
}

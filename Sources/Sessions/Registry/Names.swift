internal import Block
public import DeviceMapper

/// The names that dmsnap gives: device-mapper's, and the sessions'. They are built here only.
public enum MapperNames {
    static let originPrefix = "dmsnap-"
    /// The store's number follows, so that a new snapshot stands beside the old one. No origin's name
    /// starts like this.
    static let snapshotPrefix = "dmsnapcow-"
    static let viewPrefix = "dmsnapview-"
    static let uuidPrefix = "DMSNAP-"

    /// What is mounted: `/dev/mapper/dmsnap-<name>`.
    public static func origin(_ activation: Activation) throws(SessionsError) -> DeviceName {
        try name(originPrefix + activation.name.text)
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

    /// What a view is made of. What lies under another comes before it in the alphabet.
    enum ViewPart: String, CaseIterable {
        /// What is looked into, and can be written to.
        case view
        /// The device as it was, under it.
        case then
        /// The device as it is now, under that.
        case now
        /// What leads from there to then: the chain's stores.
        case chain
    }

    /// A part of a view, by its random id.
    static func view(
        _ id: String, of owner: String, part: ViewPart
    ) throws(SessionsError) -> (name: DeviceName, uuid: DeviceUUID) {
        (
            try name("\(viewPrefix)\(id)-\(part.rawValue)"),
            try uuid("\(uuidPrefix)\(owner)-view-\(id)-\(part.rawValue)")
        )
    }

    /// Every name that a part of the view may have of which this is one.
    static func parts(ofView part: DeviceName) throws(SessionsError) -> [DeviceName] {
        let id = part.text.dropFirst(viewPrefix.count).prefix { $0 != "-" }
        return try ViewPart.allCases.map { other throws(SessionsError) in
            try name("\(viewPrefix)\(id)-\(other.rawValue)")
        }
    }

    /// Whether a device is a part of a view of this owner's, or, without one, of anybody's.
    static func isView(uuid: String, of owner: String? = nil) -> Bool {
        guard let owner else { return uuid.hasPrefix(uuidPrefix) && uuid.contains("-view-") }
        return uuid.hasPrefix("\(uuidPrefix)\(owner)-view-")
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
    static func unique(_ wanted: ByteText, isTaken: (ByteText) -> Bool) -> ByteText {
        var base = String(wanted.text.map { $0 == "/" ? "-" : $0 })
        // Room for the longer prefix, the escapes, "-<n>" to be unique and "-<store>".
        while DeviceName(snapshotPrefix + base + "-00000-0000000000") == nil, !base.isEmpty {
            base.removeLast()
        }
        if base.isEmpty { base = "device" }
        var name = ByteText(base)
        var number = 2
        while isTaken(name) {
            name = ByteText("\(base)-\(number)")
            number += 1
        }
        return name
    }
}

public import Block

/// What several devices are called together: 1 to 64 letters, digits, `.`, `_` and `-`, none of the last three in
/// front.
public struct GroupName: Hashable, Sendable, CustomStringConvertible {
    /// The name as text.
    public let text: String

    /// The name, for messages.
    public var description: String { text }

    /// Nil for what can't be a group's name.
    public init?(_ text: String) {
        let isLetterOrDigit = { (byte: UInt8) in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
        }
        guard let first = text.utf8.first, isLetterOrDigit(first), text.utf8.count <= 64,
            text.utf8.allSatisfy({ isLetterOrDigit($0) || "._-".utf8.contains($0) })
        else { return nil }
        self.text = text
    }
}

extension GroupName: Codable {
    /// - Throws: `dataCorrupted` for what can't be a group's name.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let name = GroupName(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "it can't be a group's name")
        }
        self = name
    }

    /// As a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// Devices that belong together, as data and its log do: a checkpoint of them is of one instant, and so is what
/// they are restored to.
public struct DeviceGroup: Hashable, Sendable, Codable {
    /// The group's name.
    public let name: GroupName
    /// Its devices' activations, by their ids.
    public internal(set) var members: [String]
}

/// An instant that the devices of a group have in common: nothing was written to any of them between where each
/// one's session begins and this instant.
public struct GroupInstant: Hashable, Sendable, Codable {
    /// A device, and where in its chain the session begins that goes back to the instant.
    public struct Place: Hashable, Sendable, Codable {
        /// What was activated: the path then.
        public let device: ByteText
        /// In that device's chain.
        public let chain: ChainPlace
    }

    /// What the group was called.
    public let group: GroupName
    /// Of each of its devices.
    public let places: [Place]

    init(_ group: GroupName, _ activations: [Activation]) {
        self.group = group
        places = activations.map { Place(device: $0.path, chain: $0.chain) }
    }
}

extension Registry.Document {
    /// The group that an activation is in; nil if it is in none.
    func group(of id: String) -> DeviceGroup? {
        groups?.first { $0.members.contains(id) }
    }

    /// The group of this name; nil if there is none.
    func group(_ name: GroupName) -> DeviceGroup? {
        groups?.first { $0.name == name }
    }

    /// A group's activations, in its order.
    func activations(of group: DeviceGroup) -> [Activation] {
        group.members.compactMap { self[id: $0] }
    }

    /// Takes an activation out of its group, which goes with the last.
    mutating func leaveGroup(_ id: String) {
        for index in groups?.indices ?? 0..<0 { groups?[index].members.removeAll { $0 == id } }
        groups?.removeAll(where: \.members.isEmpty)
    }
}

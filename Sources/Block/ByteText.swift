public import SystemPackage

/// A text that is what its UTF-8 bytes are: a name or a path, as Linux has them.
///
/// Swift's `String` takes a composed and a decomposed `é` for equal; to the kernel they are two
/// files. Bytes that are no UTF-8 are U+FFFD here, as in `String`.
public struct ByteText: Hashable, Comparable, Sendable {
    /// The text as a string, for what takes one. Compare the `ByteText`, not this.
    public let text: String

    /// This text.
    public init(_ text: String) {
        self.text = text
    }

    /// The path as it is written; nothing is resolved.
    public init(_ path: FilePath) {
        text = path.string
    }

    /// As a path.
    public var path: FilePath { FilePath(text) }

    /// For a terminal: what would move its cursor or turn its text around is escaped.
    public var printable: String { TerminalText.escape(text) }

    /// Whether the bytes begin with those of `prefix`.
    public func hasPrefix(_ prefix: ByteText) -> Bool {
        text.utf8.starts(with: prefix.text.utf8)
    }

    /// Whether the bytes are the same.
    public static func == (left: ByteText, right: ByteText) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    /// The order of the bytes, as `LC_ALL=C sort` has it.
    public static func < (left: ByteText, right: ByteText) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    /// Takes in the bytes, and their end.
    public func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
        // No UTF-8 has this byte: two texts one after the other are not those cut elsewhere.
        hasher.combine(UInt8.max)
    }
}

extension ByteText: ExpressibleByStringLiteral {
    /// The literal's text.
    public init(stringLiteral text: String) {
        self.init(text)
    }
}

extension ByteText: CustomStringConvertible {
    /// The text as it is. For a terminal take `printable`.
    public var description: String { text }
}

extension ByteText: Codable {
    /// From a plain string.
    public init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    /// As a plain string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

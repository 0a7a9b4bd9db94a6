public import Block

/// What a user calls a session: up to 200 bytes of text in one line.
public struct SessionLabel: Hashable, Sendable, CustomStringConvertible {
    /// The most bytes of UTF-8 that a label has.
    public static let mostBytes = 200

    /// The label's own bytes: two that only look alike are two.
    public let bytes: ByteText

    /// The label as text.
    public var text: String { bytes.text }

    /// The label, for messages.
    public var description: String { bytes.description }

    /// Nil for what can't be a label: nothing at all, more than 200 bytes, what was no UTF-8 (U+FFFD stands
    /// for that), and whatever a terminal obeys instead of showing it.
    public init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= Self.mostBytes,
            !text.unicodeScalars.contains("\u{FFFD}"),
            ByteText(TerminalText.escape(text)) == ByteText(text)
        else { return nil }
        bytes = ByteText(text)
    }
}

extension SessionLabel: Codable {
    /// - Throws: `dataCorrupted` for what can't be a label.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let label = SessionLabel(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "it can't be a label")
        }
        self = label
    }

    /// As a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

public import Block
public import FoundationEssentials

/// A session's name and its directory's: `<dev_name>_<mount_timestamp>`, with `-2`, `-3` … behind it
/// if that second is taken.
public struct SessionName: Hashable, Sendable, CustomStringConvertible {
    /// The name itself.
    public let bytes: ByteText

    /// The name as text.
    public var text: String { bytes.text }

    /// The name, for messages.
    public var description: String { bytes.description }

    /// - Parameter text: a name that could be a directory's and isn't hidden.
    public init?(_ text: String) {
        guard !text.isEmpty, text.utf8.first != UInt8(ascii: "."),
            !text.utf8.contains(UInt8(ascii: "/")), !text.utf8.contains(0), text.utf8.count <= 255
        else { return nil }
        bytes = ByteText(text)
    }

    /// The `attempt`-th name (from 1) for a mount at `time`.
    init(prefix: ByteText, time: Date, attempt: Int) {
        let suffix = "_" + Timestamp.text(time) + (attempt > 1 ? "-\(attempt)" : "")
        var prefix = prefix.text
        while prefix.utf8.count + suffix.utf8.count > 255 { prefix.removeLast() }
        bytes = ByteText(prefix + suffix)
    }

    /// `<dev_name>` of a block device: its kernel name, `/` as `!` like in sysfs.
    static func prefix(kernelName: ByteText) -> ByteText {
        ByteText(String(kernelName.text.map { $0 == "/" ? "!" : $0 }))
    }

    /// `<dev_name>` of an image file: its absolute path, every `/` but the first a `_`.
    static func prefix(imagePath: ByteText) -> ByteText {
        let name = String(imagePath.text.drop { $0 == "/" }.map { $0 == "/" ? "_" : $0 })
        return ByteText(name.hasPrefix(".") ? "_" + name : name)
    }
}

extension SessionName: Codable {
    /// - Throws: `dataCorrupted` for what can't be a directory's name.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let name = SessionName(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "it can't be a session's name")
        }
        self = name
    }

    /// As a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
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

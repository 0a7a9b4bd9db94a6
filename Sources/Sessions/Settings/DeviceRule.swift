import Block
import ExceptionStore
public import SystemPackage

/// `[[device]]`: a device that is activated as soon as it is there, and how.
public struct DeviceRule: Hashable, Sendable {
    /// What tells which it is.
    public enum Match: Hashable, Sendable {
        /// A node, a link to one, or an image file.
        case path(FilePath)
        /// The UUID of the file system on it.
        case uuid(String)
        /// The label of the file system on it.
        case label(String)
    }

    /// Which device.
    public let match: Match
    /// How it is to be activated.
    public let request: ActivationRequest

    /// The rules of a file, in its order.
    ///
    /// - Throws: what `refusal` makes of the first that is wrong.
    static func all(
        in settings: SettingsText, _ refusal: (String) -> SessionsError
    ) throws(SessionsError) -> [DeviceRule] {
        var rules: [DeviceRule] = []
        for number in 0..<settings.numbers[["device"], default: 0] {
            let own = settings.entries.filter { $0.words[0] == "device" && $0.number == number }
            let rule = try DeviceRule(own, "[[device]] number \(number + 1)", refusal)
            guard !rules.contains(where: { $0.match == rule.match }) else {
                throw refusal("two [[device]] sections are for \(rule)")
            }
            rules.append(rule)
        }
        return rules
    }

    private init(
        _ entries: [SettingsText.Entry], _ name: String, _ refusal: (String) -> SessionsError
    ) throws(SessionsError) {
        var matches: [Match] = []
        var isOverlay = false
        var restoreAt: RestoreAt?
        var chunkSize: ChunkSize?
        var directory: FilePath?
        var isInMemory = false
        var keep: Int?
        for entry in entries {
            let key = entry.words.dropFirst().joined(separator: ".")
            if key == "keep" {
                guard case .number(let count) = entry.value, RestorePolicy.keeps.contains(count)
                else { throw refusal("\(name): keep is no number of times that can be undone") }
                keep = count
                continue
            }
            guard case .string(let text) = entry.value, !text.isEmpty,
                !text.unicodeScalars.contains("\u{FFFD}")
            else { throw refusal("\(name): \(key) is no text") }
            switch key {
            case "path":
                guard FilePath(text).isAbsolute else {
                    throw refusal("\(name): path is no absolute path")
                }
                matches.append(.path(FilePath(text)))
            case "uuid": matches.append(.uuid(text))
            case "label": matches.append(.label(text))
            case "mode":
                guard ["capture", "overlay"].contains(text) else {
                    throw refusal("\(name): mode is neither \"capture\" nor \"overlay\"")
                }
                isOverlay = text == "overlay"
            case "restore-at":
                guard let known = RestoreAt(rawValue: text) else {
                    throw refusal(
                        "\(name): restore-at is not \"never\", \"unmount\" or \"boot\"")
                }
                restoreAt = known
            case "chunk-size":
                guard let size = try? ChunkSize(parsing: text) else {
                    throw refusal(
                        "\(name): chunk-size is no chunk size: \"4K\" to \"1G\", a power of two")
                }
                chunkSize = size
            case "store-dir":
                guard FilePath(text).isAbsolute else {
                    throw refusal("\(name): store-dir is no absolute path")
                }
                directory = FilePath(text)
            case "store":
                guard text == "ram" else { throw refusal("\(name): store is not \"ram\"") }
                isInMemory = true
            default: throw refusal("\(name): \(key) is unknown")
            }
        }
        guard let match = matches.first, matches.count == 1 else {
            throw refusal("\(name) needs one of path, uuid and label, and not more")
        }
        guard !isInMemory || isOverlay && restoreAt != .never && directory == nil else {
            throw refusal(
                "\(name): store = \"ram\" goes with mode = \"overlay\" only, and neither with store-dir nor with "
                    + "restore-at = \"never\"")
        }
        guard keep == nil || !isOverlay && (restoreAt ?? .never) != .never else {
            throw refusal(
                "\(name): keep goes with restore-at = \"unmount\" or \"boot\", without an overlay")
        }
        self.match = match
        request = ActivationRequest(
            isOverlay ? .overlay(restoreAt ?? (isInMemory ? .boot : .never)) : .capture,
            putBackAt: isOverlay ? nil : restoreAt, keep: keep, chunkSize: chunkSize,
            place: isInMemory ? .memory : directory.map { .directory($0) } ?? .configured)
    }
}

extension DeviceRule: CustomStringConvertible {
    /// `UUID=…`, `LABEL=…`, or the path.
    public var description: String {
        switch match {
        case .path(let path): path.string
        case .uuid(let uuid): "UUID=\(uuid)"
        case .label(let label): "LABEL=\(label)"
        }
    }

    /// Where the device is, if it is there: udev's link for a UUID or a label.
    func path(in layout: Layout) -> FilePath? {
        let path =
            switch match {
            case .path(let path): path
            case .uuid(let uuid): layout.disks("by-uuid", Self.escaped(uuid))
            case .label(let label): layout.disks("by-label", Self.escaped(label))
            }
        return Files.exists(path) ? path : nil
    }

    /// As udev names a link (encode_devnode_name in systemd's device-nodes.c): what isn't a letter, a digit or
    /// one of `#+-.:=@_` is `\x20`, and what is no ASCII stays.
    private static func escaped(_ text: String) -> String {
        let bytes = text.utf8.reduce(into: [UInt8]()) { name, byte in
            let isPlain =
                byte >= 0x80 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || "#+-.:=@_".utf8.contains(byte)
            if isPlain { return name.append(byte) }
            let digits = String(byte, radix: 16)
            name += Array(("\\x" + (digits.utf8.count == 1 ? "0" : "") + digits).utf8)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A device-mapper device's name, as the user knows it. The kernel's has everything that udev
/// doesn't take in a link's name escaped (`\x20`).
public struct DeviceName: Hashable, Sendable, CustomStringConvertible {
    /// The kernel's limit with the terminating zero (DM_NAME_LEN, linux/dm-ioctl.h).
    public static let limit = 128

    /// The name unescaped.
    public let text: String

    /// - Parameter text: 1 to 127 bytes once escaped, without `/` (it names a file in /dev/mapper)
    ///   and no name that is taken there (`control`).
    public init?(_ text: String) {
        guard !text.isEmpty, text != ".", text != "..", text != "control",
            !text.utf8.contains(UInt8(ascii: "/")), !text.utf8.contains(0)
        else { return nil }
        self.text = text
        if escaped.utf8.count >= Self.limit { return nil }
    }

    /// - Parameter escaped: the kernel's name, as in sysfs and in udev's DM_NAME; nil if somebody
    ///   made it without escaping what `escaped` would.
    public init?(escaped: String) {
        let bytes = Array(escaped.utf8)
        var plain: [UInt8] = []
        var next = 0
        while next < bytes.count {
            if next + 3 < bytes.count, bytes[next] == UInt8(ascii: "\\"),
                bytes[next + 1] == UInt8(ascii: "x"),
                let byte = UInt8(
                    String(decoding: bytes[next + 2...next + 3], as: UTF8.self), radix: 16)
            {
                plain.append(byte)
                next += 4
            } else {
                plain.append(bytes[next])
                next += 1
            }
        }
        self.init(String(decoding: plain, as: UTF8.self))
        if self.escaped != escaped { return nil }
    }

    /// The bytes that udev allows in a name as they are; every other becomes `\xNN`
    /// (libdm-common.c's mangling, after udev's whitelist).
    static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            return true
        default:
            return "#+-.:=@_".utf8.contains(byte)
        }
    }

    /// The node's path, with the name escaped as udev makes the link.
    public var path: String { "/dev/mapper/" + escaped }

    /// The kernel's name of the device.
    public var escaped: String {
        var result = ""
        for byte in text.utf8 {
            if Self.isPlain(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16)
                result += "\\x" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }

    /// The name unescaped, for messages.
    public var description: String { text }
}

/// A device-mapper device's UUID: a free text that stays with the device under any name.
public struct DeviceUUID: Hashable, Sendable, CustomStringConvertible {
    /// With the terminating zero (DM_UUID_LEN, linux/dm-ioctl.h).
    public static let limit = 129

    /// The UUID.
    public let text: String

    /// - Parameter text: 1 to 128 bytes of udev's plain characters.
    public init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count < Self.limit, text.utf8.allSatisfy(DeviceName.isPlain)
        else { return nil }
        self.text = text
    }

    /// The UUID, for messages.
    public var description: String { text }
}

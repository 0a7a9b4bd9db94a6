/// A device-mapper device's name, as the user knows it; libdevmapper does the escaping (`\x20`).
public struct DeviceName: Hashable, Sendable, CustomStringConvertible {
    /// The kernel's limit with the terminating zero (DM_NAME_LEN, linux/dm-ioctl.h).
    public static let limit = 128

    public let text: String

    /// - Parameter text: 1 to 127 bytes once escaped, without `/` (it names a file in /dev/mapper).
    public init?(_ text: String) {
        guard !text.isEmpty, text != ".", text != "..", !text.utf8.contains(UInt8(ascii: "/")),
            !text.utf8.contains(0), Self.escapedLength(text) < Self.limit
        else { return nil }
        self.text = text
    }

    /// The bytes that udev allows in a name as they are; every other becomes `\xNN`
    /// (libdm-common.c's mangling, after udev's whitelist).
    static func escapedLength(_ text: String) -> Int {
        text.utf8.reduce(0) { sum, byte in sum + (isPlain(byte) ? 1 : 4) }
    }

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
    public var path: String {
        var result = "/dev/mapper/"
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

    public var description: String { text }
}

/// A device-mapper device's UUID: a free text that stays with the device under any name.
public struct DeviceUUID: Hashable, Sendable, CustomStringConvertible {
    /// With the terminating zero (DM_UUID_LEN, linux/dm-ioctl.h).
    public static let limit = 129

    public let text: String

    /// - Parameter text: 1 to 128 bytes of udev's plain characters.
    public init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count < Self.limit, text.utf8.allSatisfy(DeviceName.isPlain)
        else { return nil }
        self.text = text
    }

    public var description: String { text }
}

/// Text from elsewhere (a label, a file's name, a command's) on its way to a terminal or a log.
public enum TerminalText {
    /// The same text with everything escaped that a terminal obeys instead of showing it: controls
    /// (C0, DEL, C1), line ends, and the controls of bidirectional text, which make a line read as
    /// another one (Unicode's UAX #9).
    ///
    /// `\n`, `\r` and `\t` by their letter, other ASCII controls as `\x1b`, all else as `\u{202e}`.
    /// Everything that remains is as it was, backslashes too: this is to be read, not to be undone.
    public static func escape(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isObeyed) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isObeyed(scalar) {
                result += escaped(scalar)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F: true
        // Line and paragraph separator.
        case 0x2028, 0x2029: true
        // Marks (Arabic, left to right, right to left), embeddings and overrides, isolates.
        case 0x61C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        default: break
        }
        let digits = String(scalar.value, radix: 16)
        guard scalar.isASCII else { return "\\u{\(digits)}" }
        return "\\x" + (digits.count == 1 ? "0" : "") + digits
    }
}

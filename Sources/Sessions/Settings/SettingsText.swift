/// A settings file's text: of TOML (toml.io, 1.0.0) what settings need. Sections in brackets, and keys
/// with a string in one line, a whole number, true or false, or strings in brackets in one line; sections in
/// double brackets, one for each thing of a kind; and comments.
///
/// What else TOML has (fractions, dates, arrays of anything else or of several lines, tables in one line,
/// strings of several lines) no key takes, and it is refused.
struct SettingsText {
    enum Value: Hashable {
        case string(String)
        case number(Int)
        case flag(Bool)
        case strings([String])
    }

    struct Entry: Hashable {
        /// The section and the key; or only a key, or more than one.
        let words: [String]
        let value: Value
        /// The how manieth section of this name it is in, from 0, if that is in double brackets; else nil.
        var number: Int?
    }

    struct Fault: Error {
        let line: Int
        let reason: String
    }

    /// In the file's order; none twice.
    private(set) var entries: [Entry] = []
    /// How many sections in double brackets there are of each name.
    private(set) var numbers: [[String]: Int] = [:]

    /// - Parameter lists: the sections that are in double brackets.
    init(_ text: String, lists: Set<[String]> = []) throws(Fault) {
        var scalars = text.unicodeScalars[...]
        if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
        var section: [String] = []
        var sections: Set<[String]> = []
        var number: Int?
        var keys: Set<[String]> = []
        let lines = scalars.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, var line) in lines.enumerated() {
            if line.last == "\r" { line.removeLast() }
            var parser = Line(number: index + 1, rest: line)
            try parser.refuseControls()
            if parser.isAtEnd { continue }
            if parser.takeDouble("[") {
                section = try parser.words()
                guard parser.takeDouble("]") else { throw parser.fault("a section is [[name]]") }
                let name = section.joined(separator: ".")
                guard lists.contains(section) else {
                    throw parser.fault("a section of this name is [\(name)]")
                }
                number = numbers[section, default: 0]
                numbers[section, default: 0] += 1
                keys = keys.filter { !$0.starts(with: section) }
            } else if parser.take("[") {
                section = try parser.words()
                number = nil
                guard parser.take("]") else { throw parser.fault("a section is [name]") }
                guard !lists.contains(section) else {
                    let name = section.joined(separator: ".")
                    throw parser.fault("a section of this name is [[\(name)]]")
                }
                guard sections.insert(section).inserted else {
                    throw parser.fault("[\(section.joined(separator: "."))] is there twice")
                }
            } else {
                let words = section + (try parser.words())
                let name = words.joined(separator: ".")
                guard parser.take("=") else { throw parser.fault("\(name) has no = behind it") }
                entries.append(
                    Entry(words: words, value: try parser.value(of: name), number: number))
                guard keys.insert(words).inserted else {
                    throw parser.fault("\(name) is there twice")
                }
            }
            guard parser.isAtEnd else { throw parser.fault("there is something behind its end") }
        }
    }
}

/// What is left of a line.
private struct Line {
    let number: Int
    var rest: Substring.UnicodeScalarView

    func fault(_ reason: String) -> SettingsText.Fault {
        SettingsText.Fault(line: number, reason: reason)
    }

    /// TOML takes none but tabs, also in comments.
    func refuseControls() throws(SettingsText.Fault) {
        for scalar in rest where scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7f {
            throw fault("there is a control character in it")
        }
    }

    /// Whether nothing but a comment is left.
    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return rest.isEmpty || rest.first == "#"
        }
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == " " || $0 == "\t" }
    }

    /// Takes this one, and the space before it, if it comes next.
    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    /// Takes two of this one, with nothing between them, and the space before them, if they come next.
    mutating func takeDouble(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard rest.starts(with: [scalar, scalar]) else { return false }
        rest.removeFirst(2)
        return true
    }

    /// One name, or several with dots between them.
    mutating func words() throws(SettingsText.Fault) -> [String] {
        var words: [String] = []
        repeat {
            skipSpace()
            words.append(try name())
        } while take(".")
        return words
    }

    private mutating func name() throws(SettingsText.Fault) -> String {
        if rest.first == "\"" || rest.first == "'" { return try string() }
        let name = rest.prefix { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
            default: false
            }
        }
        guard !name.isEmpty else { throw fault("there is no name where one has to be") }
        rest = rest.dropFirst(name.count)
        return String(name)
    }

    mutating func value(of name: String) throws(SettingsText.Fault) -> SettingsText.Value {
        skipSpace()
        if rest.first == "\"" || rest.first == "'" { return .string(try string()) }
        if take("[") { return .strings(try strings(of: name)) }
        let word = rest.prefix { $0 != " " && $0 != "\t" && $0 != "#" }
        rest = rest.dropFirst(word.count)
        switch String(word) {
        case "": throw fault("\(name) has no value")
        case "true": return .flag(true)
        case "false": return .flag(false)
        case let text:
            guard let number = Self.number(text) else {
                throw fault("\(name) is no string, no whole number, and neither true nor false")
            }
            return .number(number)
        }
    }

    /// Behind a bracket, up to the other one, with commas between them.
    private mutating func strings(of name: String) throws(SettingsText.Fault) -> [String] {
        var found: [String] = []
        while !take("]") {
            skipSpace()
            guard rest.first == "\"" || rest.first == "'" else {
                throw fault(
                    "\(name) takes strings, with commas between them and ] behind, in one line")
            }
            found.append(try string())
            guard take(",") else {
                guard take("]") else { throw fault("\(name) has neither , nor ] behind a string") }
                break
            }
        }
        return found
    }

    /// Decimal with a sign or without, or with 0x, 0o, 0b before it; `_` between two digits is left out.
    private static func number(_ text: String) -> Int? {
        var digits = text[...]
        var radix = 10
        for (prefix, other) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            radix = other
            digits = digits.dropFirst(2)
        }
        let sign = radix == 10 && digits.hasPrefix("-") ? "-" : ""
        if radix == 10, digits.hasPrefix("-") || digits.hasPrefix("+") { digits.removeFirst() }
        let groups = digits.split(separator: "_", omittingEmptySubsequences: false)
        let plain = groups.joined()
        guard groups.allSatisfy({ !$0.isEmpty }), plain.allSatisfy({ $0.isASCII && $0.isHexDigit }),
            radix != 10 || plain == "0" || !plain.hasPrefix("0")
        else { return nil }
        return Int(sign + plain, radix: radix)
    }

    /// In `"` with escapes, or in `'` as it is.
    private mutating func string() throws(SettingsText.Fault) -> String {
        let quote = rest.removeFirst()
        guard !rest.starts(with: [quote, quote]) else {
            throw fault("a string is in one line, in one \(quote) on either side")
        }
        var text = String.UnicodeScalarView()
        while let scalar = rest.popFirst() {
            if scalar == quote { return String(text) }
            text.append(scalar == "\\" && quote == "\"" ? try escape() : scalar)
        }
        throw fault("a string has no \(quote) at its end")
    }

    private mutating func escape() throws(SettingsText.Fault) -> Unicode.Scalar {
        let plain: [Unicode.Scalar: Unicode.Scalar] = [
            "b": "\u{8}", "t": "\t", "n": "\n", "f": "\u{C}", "r": "\r", "\"": "\"", "\\": "\\",
        ]
        let letter = rest.popFirst()
        if let letter, let meant = plain[letter] { return meant }
        let length = letter == "u" ? 4 : letter == "U" ? 8 : 0
        let digits = rest.prefix(length)
        guard length > 0, digits.count == length,
            digits.allSatisfy({ $0.isASCII && $0.properties.isASCIIHexDigit }),
            let code = UInt32(String(digits), radix: 16), let scalar = Unicode.Scalar(code)
        else { throw fault("there is no such escape in a string") }
        rest = rest.dropFirst(length)
        return scalar
    }
}

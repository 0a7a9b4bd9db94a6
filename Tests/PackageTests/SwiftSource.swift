/// As much of a Swift file as the rules need: its code without comments and without what its string
/// literals hold, those literals, and what it imports.
struct SwiftSource {
    /// The code, each string literal in it as `""`.
    private(set) var code = ""
    /// The literals' texts as they stand in the file, interpolations left out.
    private(set) var literals: [String] = []

    private var rest: ArraySlice<Character>

    init(_ text: String) {
        rest = Array(text)[...]
        readCode(untilParenthesis: false)
    }

    /// The modules imported, whatever the attributes and the access level in front.
    var imports: Set<String> {
        let modifiers: Set<Substring> = [
            "public", "package", "internal", "fileprivate", "private", "import", "struct", "class",
            "enum", "protocol", "typealias", "func", "let", "var", "actor",
        ]
        var found: Set<String> = []
        let statements = code.split { $0.isNewline || $0 == ";" }
        for words in statements.map({ $0.split(whereSeparator: \.isWhitespace) }) {
            guard let place = words.firstIndex(of: "import"),
                words[..<place].allSatisfy({ $0.hasPrefix("@") || modifiers.contains($0) }),
                let path = words[place...].first(where: { !modifiers.contains($0) }),
                let module = path.split(separator: ".").first
            else { continue }
            found.insert(String(module))
        }
        return found
    }

    private func starts(with text: String) -> Bool { rest.starts(with: text) }

    private mutating func readCode(untilParenthesis: Bool) {
        var depth = 0
        while let character = rest.first {
            if starts(with: "//") {
                rest = rest.drop { !$0.isNewline }
            } else if starts(with: "/*") {
                skipBlockComment()
            } else if character == "\"" || character == "#", readLiteral() {
                code += "\"\""
            } else {
                if character == "(" { depth += 1 }
                if character == ")" { depth -= 1 }
                rest.removeFirst()
                if untilParenthesis, depth < 0 { return }
                code.append(character)
            }
        }
    }

    /// Block comments nest in Swift.
    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                rest.removeFirst(2)
            } else if starts(with: "*/") {
                depth -= 1
                rest.removeFirst(2)
            } else {
                rest.removeFirst()
            }
        } while depth > 0 && !rest.isEmpty
    }

    /// Reads a string literal of any form; false, with nothing read, if none starts here.
    private mutating func readLiteral() -> Bool {
        let pounds = String(rest.prefix { $0 == "#" })
        let after = rest.dropFirst(pounds.count)
        guard after.first == "\"" else { return false }
        let quotes = after.starts(with: "\"\"\"") ? "\"\"\"" : "\""
        rest = after.dropFirst(quotes.count)
        var text = ""
        while !rest.isEmpty, !starts(with: quotes + pounds) {
            if starts(with: "\\" + pounds + "(") {
                rest.removeFirst(pounds.count + 2)
                readCode(untilParenthesis: true)
            } else if starts(with: "\\" + pounds),
                let escaped = rest.dropFirst(pounds.count + 1).first
            {
                rest.removeFirst(pounds.count + 2)
                text.append(escaped)
            } else {
                text.append(rest.removeFirst())
            }
        }
        rest = rest.dropFirst(quotes.count + pounds.count)
        literals.append(text)
        return true
    }
}

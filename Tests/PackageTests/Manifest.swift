/// The targets of Package.swift, read from its text: asking the package manager takes seconds and its
/// lock.
struct Manifest {
    struct Target {
        var name: String
        /// Tests, what they share, or what measures.
        var isTest: Bool
        /// The modules that the target may import, in the manifest's order.
        var dependencies: [String]
    }

    /// In the manifest's order.
    private(set) var targets: [Target] = []

    /// - Parameter text: a manifest that names products of other packages by constants
    ///   (`let system: Target.Dependency = .product(name: "SystemPackage", …)`) and has each
    ///   target's name and dependencies as literals.
    init(_ text: String) {
        let text = Self.withoutComments(text)
        var products: [String: String] = [:]
        for match in text.matches(
            of: /let (\w+): Target\.Dependency = \.product\(\s*name: "(\w+)"/)
        {
            products[String(match.1)] = String(match.2)
        }
        let start = text.firstRange(of: "targets: [\n")?.upperBound ?? text.startIndex
        for match in text[start...].matches(
            of: /\.(target|executableTarget|systemLibrary|testTarget)\(/)
        {
            let call = Self.balanced(text[match.range.upperBound...], "(", ")")
            guard let name = call.firstMatch(of: /^\s*name: "(\w+)"/) else { continue }
            var dependencies: [String] = []
            if let list = call.firstRange(of: "dependencies: [") {
                let inside = Self.balanced(call[list.upperBound...], "[", "]")
                dependencies = inside.split { $0 == "," || $0.isWhitespace }.map { word in
                    word.hasPrefix("\"")
                        ? String(word.dropFirst().dropLast())
                        : products[String(word)] ?? "unknown constant \(word)"
                }
            }
            targets.append(
                Target(
                    name: String(name.1),
                    isTest: match.1 == "testTarget" || call.contains("path: \"Tests/")
                        || call.contains("path: \"Benchmarks/"),
                    dependencies: dependencies))
        }
    }

    /// The text up to the parenthesis that closes the one before it.
    private static func balanced(
        _ text: Substring, _ open: Character, _ close: Character
    ) -> Substring {
        var depth = 1
        for index in text.indices {
            if text[index] == open { depth += 1 }
            if text[index] == close { depth -= 1 }
            if depth == 0 { return text[..<index] }
        }
        return text
    }

    private static func withoutComments(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.drop(while: \.isWhitespace).hasPrefix("//") }
            .joined(separator: "\n")
    }
}

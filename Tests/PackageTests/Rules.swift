/// The package's rules as functions over data: each gives what is wrong, nothing if all is well.
enum Rules {
    /// The modules from the lowest to the highest: each may import only those that stand before it.
    static let order = [
        "CLinux", "CDeviceMapper", "CBlkid", "CMount", "CStatfs", "CZlib", "CDeflate", "CIsal",
        "CUring", "CXxhash", "CCrypt", "CDmsnap",
        "Block", "DeviceMapper", "ExceptionStore", "SessionArchive", "Restore", "Sessions",
        "Monitor",
        "DmsnapCommands", "dmsnap", "DmsnapC",
    ]

    /// What stands before a module and still isn't for it: the C library is for programs that have no
    /// command line and no monitor.
    static let forbidden: [String: Set<String>] = [
        "DmsnapC": ["DmsnapCommands", "Monitor", "dmsnap"]
    ]

    /// No file of Sources is longer.
    static let mostLines = 499
    /// No file of the domain is longer: what one can hold in the head.
    static let mostDomainLines = 250

    /// Where device-mapper names are built, and what they start with.
    static let names = (
        file: "Sources/Sessions/Registry/Names.swift", texts: ["dmsnap-", "DMSNAP-", "dmsnapcow-"]
    )

    /// Where paths are built, and what they start with (behind another root or not).
    static let paths = (
        file: "Sources/Sessions/Registry/Layout.swift",
        texts: ["var/lib/dmsnap", "run/dmsnap", "etc/dmsnap", "/snapshot"]
    )

    /// Where the domain takes what a user typed, or says it in a message: text, which is compared with
    /// nothing.
    static let typed = [
        "Sources/Sessions/Restoring/RestoreRequest.swift",
        "Sources/Sessions/Lifecycle/Examination.swift", "Sources/Sessions/SessionsError.swift",
    ]

    /// Names and paths of the domain that are bare strings: Swift's `==` takes two of them for equal
    /// that Linux tells apart. `ByteText`, `SessionName` and `FilePath` compare bytes.
    ///
    /// - Parameter files: each file's text, by its path.
    static func bareNames(_ files: [String: String]) -> [String] {
        let kept = /(let|var) (\w*(path|device|directory|name|session)\w*): (\[|Set<)?String\b/
            .ignoresCase()
        return files.filter { path, _ in
            path.hasPrefix("Sources/Sessions/") && !typed.contains(path)
        }.flatMap { path, text in
            text.matches(of: kept).map { "\(path): \($0.output.2) is a String" }
        }.sorted()
    }

    /// Imports that go up, sideways, or where the order doesn't have the module at all.
    ///
    /// - Parameter imports: each module of Sources and everything it imports, other packages'
    ///   modules and the toolchain's included.
    static func upward(_ imports: [String: Set<String>], order: [String] = order) -> [String] {
        imports.flatMap { module, imported -> [String] in
            guard let place = order.firstIndex(of: module) else {
                return ["\(module) has no place in the order of modules"]
            }
            let below = Set(order[..<place]).subtracting(forbidden[module] ?? [])
            return imported.intersection(order).subtracting(below).map { "\(module) imports \($0)" }
        }.sorted()
    }

    /// Imports that the manifest doesn't declare, and declarations that nothing imports.
    ///
    /// - Parameter imports: by target, those of tests included. Targets of C alone aren't in it.
    static func undeclared(_ imports: [String: Set<String>], _ manifest: Manifest) -> [String] {
        let known = Set(manifest.targets.flatMap { [$0.name] + $0.dependencies })
        var wrong: [String] = []
        for (module, imported) in imports {
            guard let target = manifest.targets.first(where: { $0.name == module }) else {
                wrong.append("\(module) has no target")
                continue
            }
            let declared = Set(target.dependencies)
            wrong += imported.intersection(known).subtracting(declared).map {
                "\(module) imports \($0) and doesn't declare it"
            }
            wrong += declared.subtracting(imported).map {
                "\(module) declares \($0) and doesn't import it"
            }
        }
        return wrong.sorted()
    }

    /// Dependencies that go against the order, though nothing may import them yet.
    static func upward(_ manifest: Manifest) -> [String] {
        let modules = manifest.targets.filter { !$0.isTest }
        return upward(
            Dictionary(
                modules.map { ($0.name, Set($0.dependencies)) }, uniquingKeysWith: { $0.union($1) })
        )
    }

    /// Files with too many lines.
    static func tooLong(_ files: [String: String]) -> [String] {
        files.compactMap { path, text in
            let lines =
                text.split(separator: "\n", omittingEmptySubsequences: false).count
                - (text.hasSuffix("\n") ? 1 : 0)
            let most = path.hasPrefix("Sources/Sessions/") ? mostDomainLines : mostLines
            return lines > most ? "\(path) has \(lines) lines" : nil
        }.sorted()
    }

    /// String literals in Swift files that have one of the texts in them, where only one file may.
    ///
    /// - Parameter besides: words with one of the texts in them that mean something else.
    static func literals(
        _ texts: [String], in files: [String: String], except allowed: String,
        besides: Set<String> = []
    ) -> [String] {
        files.filter { $0.key.hasSuffix(".swift") && $0.key != allowed }.flatMap { path, text in
            SwiftSource(text).literals.filter { literal in
                let rest = besides.reduce(literal) { $0.replacing($1, with: "") }
                return texts.contains { rest.contains($0) }
            }.map { "\(path) has \"\($0)\"" }
        }.sorted()
    }
}

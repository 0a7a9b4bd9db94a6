import Foundation

/// The package that these tests are part of, as it lies on disk.
enum Checkout {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func manifest() throws -> Manifest {
        Manifest(try text("Package.swift"))
    }

    /// Every file of text under a folder, by its path from the root.
    static func files(under folder: String) throws -> [String: String] {
        let names = try FileManager.default.subpathsOfDirectory(
            atPath: root.appendingPathComponent(folder).path)
        let extensions: Set<String> = ["swift", "c", "h", "modulemap", "map"]
        var files: [String: String] = [:]
        for name in names where extensions.contains((name as NSString).pathExtension) {
            files["\(folder)/\(name)"] = try text("\(folder)/\(name)")
        }
        return files
    }

    /// What the Swift files of each folder in `folder` import, by the folder's name.
    static func imports(under folder: String) throws -> [String: Set<String>] {
        var imports: [String: Set<String>] = [:]
        // The tests' entry point belongs to the package manager's own target.
        for (path, text) in try files(under: folder)
        where path.hasSuffix(".swift") && path != "Tests/EntryPoint.swift" {
            let module = String(path.split(separator: "/")[1])
            imports[module, default: []].formUnion(SwiftSource(text).imports)
        }
        return imports
    }

    /// The names of the systemd units, without what kind of unit they are.
    static func units() -> Set<String> {
        let files = try? FileManager.default.contentsOfDirectory(
            atPath: root.appendingPathComponent("systemd").path)
        return Set(
            (files ?? []).compactMap { $0.split { ".@".contains($0) }.first.map(String.init) })
    }

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }
}

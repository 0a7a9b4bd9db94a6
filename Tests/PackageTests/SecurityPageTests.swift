import Foundation
import Testing

/// docs/security.md: every claim of it names the test that attacks it.
@Suite struct SecurityPageTests {
    @Test("Every claim names a test, and every test that is named is there")
    func tests() throws {
        let page = try String(
            contentsOf: Checkout.root.appendingPathComponent("docs/security.md"), encoding: .utf8)
        // | claim | `Tests/Folder/File.swift`: “name”; “name”; `Tests/…`: “name” |
        let rows = page.split(separator: "\n").filter {
            $0.hasPrefix("| ") && !$0.hasPrefix("| claim")
        }
        #expect(rows.count > 20)
        var wrong: [String] = []
        for row in rows {
            let cells = row.split(separator: "|")
            let attack = cells.last ?? ""
            guard cells.count == 2, attack.contains("`Tests/") else {
                wrong.append("no test: \(row)")
                continue
            }
            for part in attack.split(separator: "`Tests/").dropFirst() {
                let words = part.split(separator: "`", maxSplits: 1)
                let file = "Tests/\(words[0])"
                guard
                    let text = try? String(
                        contentsOf: Checkout.root.appendingPathComponent(file), encoding: .utf8)
                else {
                    wrong.append("no file \(file)")
                    continue
                }
                let names = words.count < 2 ? [] : words[1].matches(of: /“([^”]+)”/)
                if !file.hasPrefix("Tests/HostileInput/"), names.isEmpty {
                    wrong.append("\(file): no test is named")
                }
                for name in names where !text.contains(name.1) {
                    wrong.append("\(file) has no \(name.1)")
                }
            }
        }
        #expect(wrong == [])
    }
}

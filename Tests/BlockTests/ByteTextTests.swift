import Foundation
import SystemPackage
import Testing

@testable import Block

@Suite struct ByteTextTests {
    static let composed = "caf\u{E9}"
    static let decomposed = "cafe\u{301}"

    @Test("A composed and a decomposed letter are two names, as they are to the kernel")
    func normalization() {
        #expect(Self.composed == Self.decomposed)
        let (one, two) = (ByteText(Self.composed), ByteText(Self.decomposed))
        #expect(one != two)
        #expect(Set([one, two, ByteText(Self.composed)]).count == 2)
        #expect([one: 1, two: 2][two] == 2)
        #expect(one.path != two.path)
    }

    @Test("Texts are in the order of their bytes")
    func order() {
        let texts: [ByteText] = ["b", "", "é", "a\u{301}", "a", "ab", "Z", "😀", "\u{FFFD}"]
        let sorted = texts.sorted()
        #expect(sorted == ["", "Z", "a", "ab", "a\u{301}", "b", "é", "\u{FFFD}", "😀"])
        let bytes = sorted.map { Array($0.text.utf8) }
        #expect(zip(bytes, bytes.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
    }

    @Test("A prefix is one of bytes, also in the middle of a character")
    func prefixes() {
        let text = ByteText(Self.decomposed)
        #expect(text.hasPrefix(""))
        #expect(text.hasPrefix("caf"))
        #expect(text.hasPrefix("cafe"))
        #expect(!text.text.hasPrefix("cafe"))
        #expect(text.hasPrefix(text))
        #expect(!text.hasPrefix(ByteText(Self.composed)))
        #expect(!ByteText("caf").hasPrefix(text))
    }

    @Test(
        "A text survives JSON as a plain string, with its bytes", arguments: [composed, decomposed])
    func codable(text: String) throws {
        let json = try JSONEncoder().encode(["name": ByteText(text)])
        #expect(try JSONDecoder().decode([String: String].self, from: json)["name"] == text)
        let back = try JSONDecoder().decode([String: ByteText].self, from: json)["name"]
        #expect(back.map { Array($0.text.utf8) } == Array(text.utf8))
    }

    @Test("A text comes from a path and goes back to it as it was")
    func paths() {
        let path = FilePath("/srv/\(Self.decomposed) #1.img")
        #expect(ByteText(path).path == path)
        #expect(ByteText(path).description == path.string)
        #expect("\(ByteText("a"))" == "a")
    }
}

@Suite struct TerminalTextTests {
    @Test(
        "What a terminal obeys is escaped",
        arguments: [
            ("a\nb", #"a\nb"#), ("a\r\n", #"a\r\n"#), ("\t", #"\t"#), ("\0", #"\x00"#),
            ("\u{1B}[31mred", #"\x1b[31mred"#), ("\u{7}", #"\x07"#), ("\u{7F}", #"\x7f"#),
            ("\u{9B}2J", #"\u{9b}2J"#), ("\u{85}", #"\u{85}"#),
            ("gpj\u{202E}exe", #"gpj\u{202e}exe"#), ("\u{202A}\u{2069}", #"\u{202a}\u{2069}"#),
            ("\u{2066}\u{200E}\u{200F}\u{61C}", #"\u{2066}\u{200e}\u{200f}\u{61c}"#),
            ("a\u{2028}b\u{2029}", #"a\u{2028}b\u{2029}"#),
            // A control in one character with what stands before it.
            ("\r\n\u{301}", "\\r\\n\u{301}"),
        ])
    func escaped(text: String, expected: String) {
        #expect(Array(TerminalText.escape(text).utf8) == Array(expected.utf8))
        #expect(ByteText(text).printable == TerminalText.escape(text))
    }

    @Test(
        "Everything else is as it was, byte for byte",
        arguments: [
            "", "plain text", #"C:\path\n"#, "caf\u{E9}", "cafe\u{301}", "日本語", "עברית", "😀‍🔥",
            "\u{A0}", "\u{FFFD}", "~",
        ])
    func asItWas(text: String) {
        #expect(Array(TerminalText.escape(text).utf8) == Array(text.utf8))
    }

    @Test("What is escaped has nothing left to escape")
    func idempotent() {
        for value in (0...0x2100 as ClosedRange<UInt32>).compactMap(Unicode.Scalar.init) {
            let once = TerminalText.escape(String(Character(value)))
            #expect(TerminalText.escape(once) == once)
        }
    }
}

import Testing

@testable import DmsnapCommands

@Suite struct OutputTests {
    @Test(
        "Control characters reach no terminal, and everything else stays as it is",
        arguments: [
            ("plain /dev/sdb1", "plain /dev/sdb1"), ("ü 𝕏 e\u{301} 漢", "ü 𝕏 e\u{301} 漢"),
            ("a\u{1b}[31mb", "a\\x1b[31mb"), ("line\nline", "line\\nline"),
            ("\t\r\0\u{7f}", "\\t\\r\\x00\\x7f"), ("\u{9b}2J", "\\u{9b}2J"),
            ("a\r\nb", "a\\r\\nb"), ("%s %n \\x20", "%s %n \\x20"), ("", ""),
            ("gpj\u{202e}exe", "gpj\\u{202e}exe"), ("\u{2066}\u{61c}", "\\u{2066}\\u{61c}"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ])
    func visible(text: String, shown: String) {
        #expect(Output.visible(text) == shown)
    }

    @Test("Of several lines each is made visible, and they stay lines")
    func lines() {
        #expect(Output.lines("a\u{1b}[2J\nb\r\n\nc") == "a\\x1b[2J\nb\\r\n\nc")
    }

    @Test("Columns are as wide as their widest cell, the last one is not padded")
    func table() {
        #expect(
            Output.table(["A", "LONG", "C"], [["1", "2", "3"], ["wide", "x", ""]])
                == """
                A     LONG  C
                1     2     3
                wide  x     \("")
                """)
    }

    @Test("A name with an escape sequence is as wide as it is shown")
    func escapes() {
        #expect(
            Output.table(["A", "B"], [["\u{1b}", "x"], ["12345", "y"]])
                == """
                A      B
                \\x1b   x
                12345  y
                """)
    }

    @Test("A table without rows is its header")
    func empty() {
        #expect(Output.table(["A", "B"], []) == "A  B")
    }
}

import Testing

@testable import DmsnapCommands

@Suite struct OutputTests {
    @Test(
        "Control characters reach no terminal, and everything else stays as it is",
        arguments: [
            ("plain /dev/sdb1", "plain /dev/sdb1"), ("ü 𝕏 e\u{301} 漢", "ü 𝕏 e\u{301} 漢"),
            ("a\u{1b}[31mb", "a\\x1b[31mb"), ("line\nline", "line\\x0aline"),
            ("\t\r\0\u{7f}", "\\x09\\x0d\\x00\\x7f"), ("\u{9b}2J", "\\x9b2J"),
            ("a\r\nb", "a\\x0d\\x0ab"), ("%s %n \\x20", "%s %n \\x20"), ("", ""),
        ])
    func visible(text: String, shown: String) {
        #expect(Output.visible(text) == shown)
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

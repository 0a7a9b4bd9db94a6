import Testing

@testable import DmsnapCommands

@Suite struct VerbFirstTests {
    @Test(
        "Options before the verb are put behind it, in their order",
        arguments: [
            ("--dev D --passfile F activate", "activate --dev D --passfile F"),
            ("--dev=D activate --chunk-size 4K", "activate --dev=D --chunk-size 4K"),
            ("--json status", "status --json"),
            ("--session S restore --dry-run", "restore --session S --dry-run"),
            ("--old-passfile O --passfile N passwd", "passwd --old-passfile O --passfile N"),
            (
                "--store-dir /a --chunk-size 8K activate D",
                "activate --store-dir /a --chunk-size 8K D"
            ),
            ("--device D --accept-writes restore S", "restore --device D --accept-writes S"),
        ])
    func moved(words: String, ordered: String) {
        #expect(VerbFirst.ordered(split(words)) == split(ordered))
    }

    @Test(
        "What has its verb first, or none, stays as it is",
        arguments: [
            "", "activate D", "activate --dev D", "status", "--help", "--version", "-h",
            "--dev D", "--dev", "--generate-completion-script zsh",
            "-- activate", "--json -- status", "status --json -- x",
        ])
    func unmoved(words: String) {
        #expect(VerbFirst.ordered(split(words)) == split(words))
    }

    @Test("An option's value that is called like a verb is no verb")
    func values() {
        #expect(
            VerbFirst.ordered(["--dev", "status", "activate"]) == ["activate", "--dev", "status"])
    }

    private func split(_ words: String) -> [String] {
        words.split(separator: " ").map(String.init)
    }
}

import ArgumentParser
import Sessions
import Testing

@testable import DmsnapCommands

/// The verbs that label, pin and delete sessions, from words to what they ask for.
@Suite struct KeepingVerbsTests {
    private func parse<Verb: ParsableCommand>(_ words: [String], as verb: Verb.Type) throws -> Verb
    {
        try #require(try Dmsnap.parseAsRoot(VerbFirst.ordered(words)) as? Verb)
    }

    private func refusal(_ words: [String]) -> (status: Int32, message: String)? {
        do {
            _ = try Dmsnap.parseAsRoot(VerbFirst.ordered(words))
            return nil
        } catch {
            return (Dmsnap.exitCode(for: error).rawValue, Dmsnap.fullMessage(for: error))
        }
    }

    @Test("A label is one word, which may be empty")
    func label() throws {
        let label = try parse(["label", "S", "before the upgrade"], as: Label.self)
        #expect(label.session == "S" && label.text == "before the upgrade")
        #expect(try parse(["label", "S", ""], as: Label.self).text == "")
        for words in [["label"], ["label", "S"], ["label", "S", "two", "words"]] {
            #expect(try #require(refusal(words)).status == 64)
        }
    }

    @Test("Sessions are arguments or given with --session, as many as there are, and one at least")
    func sessions() throws {
        #expect(try parse(["pin", "a", "b"], as: Pin.self).sessions.named == ["a", "b"])
        #expect(try parse(["unpin", "--session", "a"], as: Unpin.self).sessions.named == ["a"])
        #expect(
            try parse(["--session", "a", "delete", "b"], as: Delete.self).sessions.named
                == ["b", "a"])
        for verb in ["pin", "unpin", "delete"] {
            let result = try #require(refusal([verb]))
            #expect(result.status == 64 && result.message.contains("SESSION"))
            #expect(try #require(refusal([verb, "a", "--no-such-option"])).status == 64)
        }
    }

    @Test("Pruning is of one device or of all, and asks for nothing else")
    func prune() throws {
        let plain = try parse(["prune"], as: Prune.self)
        #expect(plain.device.named == nil && !plain.dryRun && !plain.json)
        let full = try parse(["--dev", "D", "prune", "--dry-run", "--json"], as: Prune.self)
        #expect(full.device.named == "D" && full.dryRun && full.json)
        #expect(try #require(refusal(["prune", "a", "b"])).status == 64)
        #expect(try #require(refusal(["prune", "a", "--dev", "b"])).status == 64)
    }

    @Test("A restore needs a session or a device, and --yes is one of its options")
    func restore() throws {
        #expect(try parse(["restore", "S", "--yes"], as: Restore.self).yes)
        #expect(try !parse(["restore", "S"], as: Restore.self).yes)
        #expect(try parse(["--dev", "D", "restore"], as: Restore.self).dev == "D")
        let result = try #require(refusal(["restore"]))
        #expect(result.status == 64 && result.message.contains("DEVICE"))
    }
}

import ArgumentParser
import FoundationEssentials
import Glibc
import StoreTesting
import SystemPackage
import Testing

@testable import DmsnapCommands
@testable import Sessions

/// What the program takes is what README.md, the man pages and its own help say.
@Suite struct DocumentationTests {
    /// ArgumentParser's own account of the command.
    private struct Tool: Decodable {
        let command: Command
    }

    private struct Command: Decodable {
        let commandName: String
        let abstract: String?
        let shouldDisplay: Bool
        let subcommands: [Command]?
        let arguments: [Argument]?

        /// The long options, with their two hyphens.
        func options(_ isWanted: (Argument) -> Bool = { $0.shouldDisplay }) -> Set<String> {
            Set((arguments ?? []).filter(isWanted).flatMap(\.longNames))
                .subtracting(["--help", "--version"])
        }
    }

    private struct Argument: Decodable {
        let kind: String
        let shouldDisplay: Bool
        let names: [Name]?
        let abstract: String?

        struct Name: Decodable {
            let kind: String
            let name: String
        }

        var longNames: [String] {
            (names ?? []).filter { $0.kind == "long" }.map { "--" + $0.name }
        }
    }

    /// They stand for an argument, which is what is documented of each verb.
    private static let aliases: Set<String> = ["--dev", "--session"]

    private let commands: [Command]
    private var verbs: [Command] { commands.filter(\.shouldDisplay) }

    init() throws {
        let tool = try JSONDecoder().decode(Tool.self, from: Data(Dmsnap._dumpHelp().utf8))
        commands = (tool.command.subcommands ?? []).filter { $0.commandName != "help" }
        #expect(commands.filter(\.shouldDisplay).count > 10)
    }

    private func text(_ path: String) throws -> String {
        let root = FilePath(#filePath).removingLastComponent().removingLastComponent()
            .removingLastComponent()
        return try String(
            decoding: Data(contentsOf: URL(filePath: root.pushing(FilePath(path)).string)),
            as: UTF8.self)
    }

    /// What stands between two texts, of which the first must be there.
    private func part(
        of text: String, from start: String, to end: String
    ) throws -> Substring {
        let begin = try #require(text.firstRange(of: start)).upperBound
        return text[begin..<(text[begin...].firstRange(of: end)?.lowerBound ?? text.endIndex)]
    }

    private func options(in text: some StringProtocol) -> Set<String> {
        Set(String(text).matches(of: /--[a-z][a-z-]*/).map { String($0.output) })
    }

    @Test("README.md lists every verb with every option, and none that isn't there")
    func readme() throws {
        let readme = try text("README.md")
        let list = try part(of: readme, from: "## Commands\n\n```\n", to: "\n```")
        // What is indented goes on with the line before.
        var documented: [String: Set<String>] = [:]
        var verb = ""
        for line in list.split(separator: "\n") {
            if line.hasPrefix("dmsnap ") {
                verb = String(line.split(separator: " ")[1])
            }
            documented[verb, default: []].formUnion(options(in: line))
        }
        #expect(Set(documented.keys) == Set(verbs.map(\.commandName)))
        for verb in verbs {
            let said = documented[verb.commandName, default: []].subtracting(Self.aliases)
            #expect(
                said == verb.options().subtracting(Self.aliases), "\(verb.commandName) in README.md"
            )
        }
        #expect(readme.contains("`--dev D` stands for DEVICE and `--session S` for SESSION"))
    }

    @Test("dmsnap(8) has every verb in its synopsis and explains it, and every option of it")
    func man() throws {
        let man = try text("man/dmsnap.8")
        let synopsis = try part(of: man, from: ".Sh SYNOPSIS\n", to: ".Sh DESCRIPTION")
        let explained = try part(of: man, from: ".Ss Verbs\n", to: "\n.Ss ")
        let description = try part(of: man, from: ".Sh DESCRIPTION\n", to: ".Sh FILES")
        var documented: [String: Set<String>] = [:]
        for block in synopsis.split(separator: ".Nm\n") {
            guard let line = block.split(separator: "\n").first, line.hasPrefix(".Cm ") else {
                continue
            }
            let found = block.matches(of: /Fl -([a-z-]+)/).map { "--" + $0.1 }
            documented[String(line.dropFirst(4)), default: []].formUnion(found)
        }
        #expect(Set(documented.keys) == Set(verbs.map(\.commandName)))
        for verb in verbs {
            let name = verb.commandName
            let wanted = verb.options().subtracting(Self.aliases)
            #expect(
                documented[name, default: []].subtracting(Self.aliases) == wanted, "\(name)")
            #expect(explained.contains("\n.It Cm \(name)"), "\(name)")
            for option in verb.options() {
                #expect(description.contains("Fl -\(option.dropFirst(2))"), "\(name) \(option)")
            }
        }
    }

    @Test("Help lists every verb and every option with a word on it, and hides what is for rules")
    func help() throws {
        let overview = Dmsnap.helpMessage(columns: 100)
        for verb in commands {
            let name = verb.commandName
            #expect(overview.contains("  \(name) ") == verb.shouldDisplay, "\(name)")
            #expect(verb.abstract?.isEmpty == false, "\(name)")
            guard verb.shouldDisplay else { continue }
            let help = helpText(of: name)
            for option in verb.options({ _ in true }) {
                let isShown = verb.options().contains(option)
                #expect(options(in: help).contains(option) == isShown, "\(name) \(option)")
            }
            for argument in verb.arguments ?? [] where argument.shouldDisplay {
                #expect(argument.abstract?.isEmpty == false, "\(name) \(argument.longNames)")
            }
        }
    }

    private func helpText(of verb: String) -> String {
        do {
            var command = try Dmsnap.parseAsRoot([verb, "--help"])
            try command.run()
            return ""
        } catch {
            return Dmsnap.fullMessage(for: error)
        }
    }

    @Test("An option with a value may stand before the verb, whichever verb it is of")
    func valued() {
        let wanted = commands.reduce(into: Set<String>()) { all, verb in
            all.formUnion(verb.options { $0.kind == "option" && $0.shouldDisplay })
        }
        #expect(VerbFirst.valued == wanted)
        let flags = commands.reduce(into: Set<String>()) { all, verb in
            all.formUnion(verb.options { $0.kind == "flag" })
        }
        // Before the verb nobody could tell which of the two it is.
        #expect(VerbFirst.valued.isDisjoint(with: flags))
    }

    @Test("Files and exit statuses are the same in README.md and dmsnap(8)")
    func files() throws {
        let readme = try text("README.md")
        let man = try text("man/dmsnap.8")
        let table = try part(of: readme, from: "| path | what |\n|---|---|\n", to: "\n\n")
        let rows = table.split(separator: "\n")
        #expect(rows.count > 4)
        for row in rows {
            let cell = row.split(separator: "|")[0].trimmingPrefix(" ")
            let path = cell.filter { !"`<> ".contains($0) }
            #expect(man.contains("\n.It Pa \(path)\n"), "\(path)")
        }
        let statuses = try part(of: readme, from: "| status | meaning |\n|---|---|\n", to: "\n\n")
            .split(separator: "\n").map { $0.split(separator: " ")[1] }
        #expect(statuses.count == 9)
        for status in statuses {
            #expect(man.contains("\n.It \(status)\n"))
            #expect(ExitStatus(rawValue: Int32(status) ?? -1) != nil)
        }
    }

    @Test("The settings in README.md are the defaults, and dmsnap.toml(5) has each key")
    func settings() throws {
        let readme = try text("README.md")
        let man = try text("man/dmsnap.toml.5")
        let block = try part(of: readme, from: "```toml\n", to: "```")
        let directory = try TemporaryDirectory()
        let layout = Layout(root: directory.path)
        let etc = layout.configuration.removingLastComponent()
        try FileManager.default.createDirectory(
            atPath: etc.string, withIntermediateDirectories: true)
        try Data(String(block).utf8).write(to: URL(filePath: layout.configuration.string))
        var defaults = Configuration(layout: layout)
        defaults.sessionsDirectory = "/snapshot"
        #expect("\(try Configuration(reading: layout))" == "\(defaults)")
        let keys = block.matches(of: #/(?m)^(?:# )?([a-z-]+) = /#).map(\.1)
        #expect(keys.count >= 8)
        for key in keys { #expect(man.contains("\n.It Cm \(key)\n"), "\(key)") }
    }

    @Test("The completion script for bash knows every verb, also behind options")
    func completion() throws {
        let script = Completion.bash()
        for verb in verbs { #expect(script.contains("_dmsnap_\(verb.commandName)() {")) }
        #expect(Completion.isAskedFor(["--generate-completion-script", "bash"]))
        #expect(Completion.isAskedFor(["--generate-completion-script=bash"]))
        let directory = try TemporaryDirectory()
        let file = directory.path.appending("completion").string
        try Data(script.utf8).write(to: URL(filePath: file))
        for verb in verbs {
            for before in [[], ["--dev", "D"], ["--passfile", "F", "--json", "--dev=D"]] {
                let name = verb.commandName
                let begun = String(name.dropLast())
                #expect(try complete(file, before + [begun]).contains(name), "\(before)")
                let offered = try complete(file, before + [name, "--"])
                #expect(offered.isSuperset(of: verb.options()), "\(before) \(name) \(offered)")
            }
        }
        #expect(try complete(file, ["--pas"]) == ["--passfile"])
    }

    /// What bash offers for the last of these words.
    private func complete(_ file: String, _ words: [String]) throws -> Set<String> {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        let command = """
            bash -c '. "$0"; COMP_WORDS=(dmsnap "$@"); COMP_CWORD=$#; COMP_LINE="dmsnap $*"
            COMP_POINT=${#COMP_LINE}; COMPREPLY=()
            _dmsnap dmsnap "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf "%s\\n" "${COMPREPLY[@]}"' \(file) \(quoted)
            """
        guard let pipe = unsafe popen(command, "r") else { throw Errno(rawValue: errno) }
        defer { unsafe pclose(pipe) }
        var offered: Set<String> = []
        var line = [CChar](repeating: 0, count: 256)
        while unsafe fgets(&line, Int32(line.count), pipe) != nil {
            let bytes = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
            offered.insert(String(decoding: bytes, as: UTF8.self))
        }
        return offered
    }
}

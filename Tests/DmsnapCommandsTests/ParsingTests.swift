import ArgumentParser
import Sessions
import Testing

@testable import DmsnapCommands

/// From words to a verb with its options, without running it.
@Suite struct ParsingTests {
    static let verbs = [
        "activate", "deactivate", "status", "sessions", "show", "restore", "passwd", "doctor",
        "assemble", "monitor",
    ]
    static let withJSON = ["status", "sessions", "show s"]

    private func parse(_ words: String) throws -> any ParsableCommand {
        try Dmsnap.parseAsRoot(VerbFirst.ordered(words.split(separator: " ").map(String.init)))
    }

    private func parse<Verb: ParsableCommand>(_ words: String, as verb: Verb.Type) throws -> Verb {
        try #require(try parse(words) as? Verb)
    }

    private func refusal(_ words: String) -> (status: Int32, message: String)? {
        do {
            _ = try parse(words)
            return nil
        } catch {
            return (Dmsnap.exitCode(for: error).rawValue, Dmsnap.fullMessage(for: error))
        }
    }

    // Without a name of its own each type is asked at every start whether it describes itself, for which all
    // conformances of the program are gone through: three quarters of what a start has to do.
    @Test("Every verb says what it is called")
    func named() {
        #expect(Dmsnap.configuration.subcommands.count > 30)
        for verb in Dmsnap.configuration.subcommands {
            #expect(verb.configuration.commandName != nil, "\(verb)")
        }
    }

    /// `help` is a command of its own, which says it when it runs.
    private func whenRun(_ words: String) throws -> (status: Int32, message: String)? {
        var command = try parse(words)
        do {
            try command.run()
            return nil
        } catch {
            return (Dmsnap.exitCode(for: error).rawValue, Dmsnap.fullMessage(for: error))
        }
    }

    @Test("Every verb explains itself, and that is no failure", arguments: verbs)
    func help(verb: String) throws {
        for words in ["\(verb) --help", "help \(verb)", "\(verb) -h"] {
            let result = try #require(try refusal(words) ?? whenRun(words))
            #expect(result.status == 0)
            #expect(result.message.contains("USAGE: dmsnap \(verb)"))
            for line in result.message.split(separator: "\n") {
                #expect(!line.contains("\t"))
            }
        }
    }

    @Test("The list of verbs has each that a user needs, and none that only rules run")
    func overview() throws {
        let text = Dmsnap.helpMessage(columns: 100)
        for verb in Self.verbs { #expect(text.contains("  \(verb) ")) }
        #expect(!text.contains("session-opened"))
        #expect(!text.contains("device-claimed"))
    }

    @Test("An option that no verb has is a usage error, which names it", arguments: verbs)
    func badOption(verb: String) throws {
        let needsThing = ["activate", "deactivate", "show", "restore"].contains(verb)
        let result = try #require(refusal("\(verb) \(needsThing ? "x" : "") --no-such-option"))
        #expect(result.status == 64)
        #expect(result.message.contains("--no-such-option"))
    }

    @Test("A word too many is a usage error", arguments: verbs)
    func wordTooMany(verb: String) throws {
        let result = try #require(refusal("\(verb) a b"))
        #expect(result.status == 64)
    }

    @Test(
        "What a verb can't do without is asked for",
        arguments: [
            ("activate", "DEVICE"), ("deactivate", "DEVICE"), ("show", "SESSION"),
            ("restore", "SESSION"), ("activate --passfile", "--passfile"),
            ("activate d --chunk-size", "--chunk-size"), ("session-opened", "name"),
            ("device-claimed", "node"),
        ])
    func missing(words: String, named: String) throws {
        let result = try #require(refusal(words))
        #expect(result.status == 64)
        #expect(result.message.contains(named))
    }

    @Test("An unknown verb is a usage error")
    func unknown() throws {
        #expect(try #require(refusal("frobnicate")).status == 64)
    }

    @Test("A device is the argument or --dev, in any place, and not both")
    func device() throws {
        #expect(try parse("activate D", as: Activate.self).device.named == "D")
        #expect(try parse("activate --dev D", as: Activate.self).device.named == "D")
        #expect(try parse("--dev D activate", as: Activate.self).device.named == "D")
        #expect(try parse("status", as: Status.self).device.named == nil)
        #expect(try parse("deactivate D", as: Deactivate.self).device.named == "D")
        #expect(try #require(refusal("activate D --dev D")).message.contains("once"))
    }

    @Test("A session is the argument or --session, and not both")
    func session() throws {
        #expect(try parse("restore S", as: Restore.self).session.required() == "S")
        #expect(try parse("restore --session S", as: Restore.self).session.required() == "S")
        #expect(try parse("--session S restore", as: Restore.self).session.required() == "S")
        #expect(try parse("show /snapshot/S", as: Show.self).session.required() == "/snapshot/S")
        #expect(try #require(refusal("restore S --session S")).message.contains("once"))
    }

    @Test("Each option of activate and restore is read")
    func options() throws {
        let activate = try parse(
            "activate D --passfile F --chunk-size 8K --store-dir /s", as: Activate.self)
        #expect(activate.password.passfile == "F")
        #expect(activate.chunkSize == "8K")
        #expect(activate.storeDir == "/s")
        let passwd = try parse("passwd --passfile N --old-passfile O", as: Passwd.self)
        #expect(passwd.passfile == "N" && passwd.oldPassfile == "O")
    }

    @Test("Each option of restore asks for its own thing, and none for another's")
    func restoreOptions() throws {
        let plain = try parse("restore S", as: Restore.self).request()
        #expect(plain.session == "S" && plain.device == nil)
        for (option, asked) in [
            ("--dry-run", \RestoreRequest.dryRun), ("--online", \.online),
            ("--skip-damaged", \.skipsDamaged), ("--accept-writes", \.acceptsWrites),
            ("--other-device", \.acceptsOtherDevice),
        ] {
            let request = try parse("restore S \(option)", as: Restore.self).request()
            for path in Self.flags { #expect(request[keyPath: path] == (path == asked)) }
        }
        for option in ["--device", "--dev"] {
            #expect(try parse("restore S \(option) D", as: Restore.self).request().device == "D")
        }
        #expect(try #require(refusal("restore S --device D --dev D")).status == 64)
        #expect(try #require(refusal("restore S --online --skip-damaged")).status == 64)
    }

    static var flags: [KeyPath<RestoreRequest, Bool>] {
        [\.dryRun, \.online, \.skipsDamaged, \.acceptsWrites, \.acceptsOtherDevice]
    }

    @Test("--force lifts nothing, is in no short help, and names the option that does")
    func force() throws {
        let forced = try parse("restore S --force", as: Restore.self)
        #expect(forced.force)
        let request = try forced.request()
        for path in Self.flags { #expect(!request[keyPath: path]) }
        #expect(!Dmsnap.helpMessage(for: Restore.self).contains("--force"))
        for (error, option) in [
            (
                SessionsError.brokenChain(device: "D", session: "S", reason: "R"),
                "give --accept-writes"
            ),
            (.damagedChunks(session: "S", reason: "R"), "`dmsnap restore --skip-damaged` restores"),
            (.otherDevice(device: "D", session: "S"), "give --other-device"),
        ] {
            let text = try #require(Restore.forceRefusal(error))
            #expect(text.hasPrefix("--force lifts nothing by itself; what applies here: "))
            #expect(text.contains(option))
        }
        #expect(Restore.forceRefusal(.damagedStore(session: "S", reason: "R")) == nil)
        #expect(Restore.forceRefusal(.busy(device: "D", reason: "R", advice: "A")) == nil)
    }

    @Test("--json is there where the contract has it", arguments: withJSON)
    func json(words: String) throws {
        #expect(refusal("\(words) --json") == nil)
    }

    @Test("--version says which")
    func version() throws {
        let result = try #require(refusal("--version"))
        #expect(result.status == 0)
        #expect(result.message == "dmsnap \(Version.text)")
    }
}

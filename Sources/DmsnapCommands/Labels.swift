import ArgumentParser
import Sessions

struct Label: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "label",
        abstract: "Call a session something, and find it by that.",
        discussion: """
            A label is up to 200 bytes of text in one line. A session that alone has its label can be \
            named by it. An empty TEXT takes the label away.
            """)

    @Argument(help: "A session's name, its label, or its directory's path.")
    var session: String

    @Argument(help: "What to call it; '' to take the label away.")
    var text: String

    func run() throws {
        let service = try SnapshotService.forRoot(to: "label a session")
        let labelled = try service.keeper.label(session, text).record
        let name = Output.visible(labelled.name)
        try Output.print(
            labelled.label.map { "\(name): labelled \(Output.visible($0.text))" }
                ?? "\(name): without a label")
    }
}

struct Pin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin",
        abstract: "Let sessions stay, whatever is pruned.")

    @OptionGroup var sessions: SessionsOptions

    func run() throws {
        try sessions.pin(true)
    }
}

struct Unpin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpin",
        abstract: "Let sessions go again when they are pruned.")

    @OptionGroup var sessions: SessionsOptions

    func run() throws {
        try sessions.pin(false)
    }
}

/// Sessions, as arguments or with `--session`.
struct SessionsOptions: ParsableArguments {
    @Argument(help: "Sessions' names, their labels, or their directories' paths.")
    var names: [String] = []

    @Option(name: .customLong("session"), help: "The same as SESSION.")
    var session: [String] = []

    var named: [String] { names + session }

    func validate() throws {
        guard !named.isEmpty else {
            throw ValidationError("give a SESSION, or several; `dmsnap sessions` lists them")
        }
    }

    fileprivate func pin(_ isPinned: Bool) throws {
        let service = try SnapshotService.forRoot(to: "pin a session")
        for session in try service.keeper.pin(named, isPinned) {
            try Output.print(
                "\(Output.visible(session.record.name)): "
                    + (isPinned ? "pinned: it stays, whatever is pruned" : "not pinned any more"))
        }
    }
}

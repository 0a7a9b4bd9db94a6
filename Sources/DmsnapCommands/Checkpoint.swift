import ArgumentParser
import Sessions

struct Checkpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "End a mounted device's session and begin another, without unmounting.",
        discussion: """
            What was written before is in what restoring the new session goes back to, and the file \
            system is frozen for an instant, so that nothing is half done. What a mount that lasts for months needs, before an upgrade or \
            every hour.
            """)

    @OptionGroup var device: DeviceOptions

    @Option(help: "What to call the session that begins.")
    var label: String?

    func validate() throws {
        _ = try device.required()
        if let label, SessionLabel(label) == nil {
            throw ValidationError(
                "--label: a label has 1 to \(SessionLabel.mostBytes) bytes of UTF-8 in one line, and "
                    + "no control characters; give a shorter or plainer one")
        }
    }

    func run() throws {
        let name = try device.required()
        let service = try SnapshotService.forRoot(to: "take a checkpoint")
        let shown = Output.visible(name)
        switch try service.checkpoint(name, label: label.flatMap { SessionLabel($0) }) {
        case .made(let session, let closed):
            try Self.tell(closed)
            let session = Output.visible(session.text)
            try Output.print(
                """
                \(shown): session \(session) begins here.
                To come back: unmount it, then dmsnap restore --session \(session)
                """)
        case .idle(let closed):
            try Self.tell(closed)
            try Output.print(
                "\(shown) is not in use: the session of its next mount begins with what it is now.")
            if label != nil {
                Output.diagnose("\(shown): there is no session yet to be called that")
                throw ExitCode(ExitStatus.busy.rawValue)
            }
        }
    }

    private static func tell(_ closed: Session?) throws {
        guard let closed else { return }
        try Output.print("Session \(Output.visible(closed.record.name)) is closed.")
    }
}

import ArgumentParser
import Sessions

struct Checkpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "End a mounted device's session and begin another, without unmounting.",
        discussion: """
            What was written before is in what restoring the new session goes back to, and the file \
            system is frozen for an instant, so that nothing is half done. What a mount that lasts for months needs, before an upgrade or \
            every hour. Of a group, named in the place of a device, it is one instant for all of its devices.
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
        let label = label.flatMap { SessionLabel($0) }
        if let group = try service.group(named: name) {
            return try tell(service.checkpoint(group.name, label: label), of: group.name)
        }
        let shown = Output.visible(name)
        guard
            let session = try Self.tell(service.checkpoint(name, label: label), of: shown)
        else { return try refuseLabel(shown) }
        try Output.print(
            "To come back: unmount it, then dmsnap restore --session \(Output.visible(session.text))"
        )
    }

    /// What was done of each device, and of all.
    private func tell(_ checkpoint: GroupCheckpoint, of group: GroupName) throws {
        var session: SessionName?
        for (device, outcome) in zip(checkpoint.devices, checkpoint.outcomes) {
            session = try Self.tell(outcome, of: Output.visible(device)) ?? session
        }
        guard let session else { return try refuseLabel(group.text) }
        try Output.print(
            """
            All of \(group) at one instant. To come back: unmount them, then \
            dmsnap restore --group --session \(Output.visible(session.text))
            """)
    }

    /// - Returns: the session that begins; nil if none does.
    private static func tell(
        _ outcome: CheckpointOutcome, of shown: String
    ) throws -> SessionName? {
        switch outcome {
        case .made(let session, let closed):
            try tell(closed)
            try Output.print("\(shown): session \(Output.visible(session.text)) begins here.")
            return session
        case .idle(let closed):
            try tell(closed)
            try Output.print(
                "\(shown) is not in use: the session of its next mount begins with what it is now.")
            return nil
        }
    }

    /// Nothing was in use.
    private func refuseLabel(_ shown: String) throws {
        guard label != nil else { return }
        Output.diagnose("\(shown): there is no session yet to be called that")
        throw ExitCode(ExitStatus.busy.rawValue)
    }

    private static func tell(_ closed: Session?) throws {
        guard let closed else { return }
        try Output.print("Session \(Output.visible(closed.record.name)) is closed.")
    }
}

import ArgumentParser
import Block
import CLinux
import SessionArchive
import Sessions

struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete sessions.",
        discussion: """
            The oldest of a device is simply deleted. What older ones need is merged into the one \
            before it, so that every session that is left restores as before. A pinned one, an open \
            one and one that another command uses are refused.
            """)

    @OptionGroup var sessions: SessionsOptions

    func run() throws {
        let service = try SnapshotService.forRoot(to: "delete a session")
        // The first signal stops a merge cleanly.
        clinux_catch_interrupts()
        let progress = MergePrinter(isInteractive: Terminal.isInteractive)
        try service.keeper.delete(sessions.named, control: progress.control) { outcome in
            progress.end()
            switch outcome {
            case .deleted(let name): try Output.print("\(Output.visible(name)): deleted")
            case .merged(let name, let older):
                try Output.print(
                    "\(Output.visible(name)): deleted; what older sessions need of it is in "
                        + Output.visible(older))
            }
        }
    }
}

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Delete the sessions that the settings don't keep.",
        discussion: """
            The rules are those of [retention] in dmsnap.toml. The monitor applies them by itself; \
            this does it now, also for devices that are not activated.
            """)

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Say what would be deleted, and delete nothing.")
    var dryRun = false

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
        let service = try SnapshotService.forRoot(to: "delete sessions")
        clinux_catch_interrupts()
        let progress = MergePrinter(isInteractive: Terminal.isInteractive)
        let scope = device.named.map { Keeper.Scope.device($0) } ?? .all
        let outcome = try service.keeper.prune(
            scope, isDryRun: dryRun, control: progress.control
        ) { removal in
            progress.end()
            if !json { try Output.print(line(of: removal)) }
        }
        progress.end()
        if json {
            try Output.printJSON(outcome.removals.map(PrunedSession.init))
        } else if dryRun {
            for removal in outcome.removals { try Output.print(line(of: removal)) }
        }
        if !json, outcome.removals.isEmpty { try Output.print("No session goes by the rules.") }
        for shortfall in outcome.shortfalls { Output.diagnose(shortfall.description) }
        for failure in outcome.failures { Output.diagnose(failure.description) }
        if let failure = outcome.failures.first { throw ExitCode(failure.exitStatus.rawValue) }
    }

    private func line(of removal: Removal) -> String {
        "\(Output.visible(removal.session)): "
            + Output.visible(removal.description(isDone: !dryRun))
    }
}

/// A removal, as `prune --json` prints it.
struct PrunedSession: Encodable {
    let name: SessionName
    let device: ByteText
    /// The session that has what older ones need of it; nil where none does.
    let mergedInto: SessionName?
    let rule: Removal.Rule
    let storedBytes: UInt64

    init(_ removal: Removal) {
        name = removal.session
        device = removal.device
        if case .merged(let older) = removal.way { mergedInto = older } else { mergedInto = nil }
        rule = removal.rule
        storedBytes = removal.bytes
    }

    private enum CodingKeys: String, CodingKey {
        case name, device, mergedInto, rule, storedBytes
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(device, forKey: .device)
        try container.encode(mergedInto, forKey: .mergedInto)
        try container.encode(rule, forKey: .rule)
        try container.encode(storedBytes, forKey: .storedBytes)
    }
}

/// How far a merge is, on standard error.
struct MergePrinter {
    let isInteractive: Bool

    var control: ArchiveControl {
        ArchiveControl(
            report: { [isInteractive] progress in
                let title =
                    switch progress.phase {
                    case .writing: "merging"
                    case .synchronizing: "waiting for the disk"
                    case .verifying: "reading back"
                    }
                if isInteractive {
                    Output.progress(
                        "\r\u{1b}[K\(title): "
                            + Percent.text(progress.bytesDone, of: progress.bytesTotal))
                } else if progress.bytesDone == 0 {
                    Output.progress("\(title): \(ByteCount(progress.bytesTotal).formatted)\n")
                }
            }, isCancelled: { clinux_interrupted() != 0 })
    }

    func end() {
        if isInteractive { Output.progress("\r\u{1b}[K") }
    }
}

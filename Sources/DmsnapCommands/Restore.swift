import ArgumentParser
import Block
import CLinux
import Glibc
import Restore
import Sessions
import SystemPackage

struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put a device back to what it was before a session's mount.",
        discussion: """
            Everything is read and checked before the first byte is written. Through an activated \
            device the restore is itself a session, which undoes it when restored. With --online \
            the kernel puts the contents back while the device can be mounted already.
            """)

    @OptionGroup var session: SessionOptions

    @Option(help: "Restore to this device or image file instead of the session's own.")
    var device: String?

    @Option(name: .customLong("dev"), help: "The same as --device.")
    var dev: String?

    @Flag(help: "Read and check everything, write nothing.")
    var dryRun = false

    @Flag(help: "Let the kernel do it while the device can be mounted (an activated one).")
    var online = false

    @Flag(help: "Go on though the device was written since its last session.")
    var force = false

    func validate() throws {
        _ = try session.required()
    }

    func run() throws {
        var request = RestoreRequest(session: try session.required())
        request.device = device ?? dev
        request.dryRun = dryRun
        request.force = force
        request.online = online
        let service = try SnapshotService.forFiles(
            to: "restore a device", named: session.named)
        // The first signal stops cleanly between two writes.
        clinux_catch_interrupts()
        let progress = ProgressPrinter(isInteractive: Terminal.isInteractive)
        let outcome = try service.restore(
            request,
            control: RestoreControl(
                report: { progress.show($0) }, isCancelled: { clinux_interrupted() != 0 }))
        progress.end()
        let bytes = ByteCount(outcome.report.totals.bytes).formatted
        let sessions =
            outcome.chain.count == 1
            ? "session \(outcome.session.record.name)"
            : "session \(outcome.session.record.name) and the \(outcome.chain.count - 1) after it"
        if dryRun {
            try Output.print(
                """
                \(Output.visible(outcome.device)): \(sessions) can be restored: \(bytes) read and \
                checked, nothing written.
                """)
            return
        }
        if outcome.isOnline {
            // Somebody has to see its end.
            try MonitorLauncher.ensureRunning(service.layout)
            return try Output.print(
                """
                \(Output.visible(outcome.device)): restoring \(sessions) online: \(bytes) to put \
                back. It shows what it was before that mount, and can be mounted now.
                `dmsnap status` shows how much is back.
                """)
        }
        let damage = outcome.report.damage
        if damage.isEmpty {
            try Output.print(
                """
                \(Output.visible(outcome.device)): restored \(sessions): \(bytes) put back. It is \
                what it was before that mount.
                """)
        } else {
            try Self.report(damage, outcome)
        }
        if let undo = outcome.undo {
            try Output.print("To undo it: dmsnap restore --session \(undo)")
        }
        if !damage.isEmpty { throw ExitCode(ExitStatus.damaged.rawValue) }
    }

    /// What a forced restore had to leave out: all of it, since the device is otherwise as it was.
    private static func report(_ damage: Damage, _ outcome: RestoreOutcome) throws {
        for range in damage {
            Output.diagnose(
                "not restored: bytes \(range.range.bytes.lowerBound) to "
                    + "\(range.range.bytes.upperBound - 1), \(range)")
        }
        if !damage.isComplete {
            Output.diagnose("not restored: and \(damage.rangeCount - UInt64(damage.count)) more")
        }
        try Output.print(
            """
            \(Output.visible(outcome.device)): restored session \(outcome.session.record.name) but \
            for \(damage.bytes) bytes that can't be read. It is NOT what it was before that mount.
            """)
    }
}

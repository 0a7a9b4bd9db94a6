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
        let service = try SnapshotService.forRoot(to: "restore a device")
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
        try Output.print(
            """
            \(Output.visible(outcome.device)): restored \(sessions): \(bytes) put back. It is what \
            it was before that mount.
            """)
        if let undo = outcome.undo {
            try Output.print("To undo it: dmsnap restore --session \(undo)")
        }
    }
}

/// Progress on standard error: one line that changes on a terminal, a line a phase elsewhere.
final class ProgressPrinter: Sendable {
    private let isInteractive: Bool

    init(isInteractive: Bool) {
        self.isInteractive = isInteractive
    }

    private func title(_ phase: RestorePhase) -> String {
        switch phase {
        case .verifying: "reading and checking"
        case .writing: "writing"
        case .synchronizing: "waiting for the disk"
        case .readingBack: "reading back"
        }
    }

    func show(_ progress: RestoreProgress) {
        if isInteractive {
            let percent =
                progress.bytesTotal == 0
                ? 100 : Int(Double(progress.bytesDone) / Double(progress.bytesTotal) * 100)
            write("\r\u{1b}[K\(title(progress.phase)): \(percent) %")
        } else if progress.bytesDone == 0 {
            write("\(title(progress.phase)): \(ByteCount(progress.bytesTotal).formatted)\n")
        }
    }

    func end() {
        if isInteractive { write("\r\u{1b}[K") }
    }

    private func write(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}

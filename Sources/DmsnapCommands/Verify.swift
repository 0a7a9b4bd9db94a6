import ArgumentParser
import Block
import CLinux
import Restore
import Sessions

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read and check everything that restoring a session would write.",
        discussion: """
            Like a restore without the device and without the writing. Every checksum of its archive \
            is checked, and of the later sessions that restoring it takes.
            """)

    @OptionGroup var session: SessionOptions

    func validate() throws {
        _ = try session.required()
    }

    func run() throws {
        let name = try session.required()
        let service = try SnapshotService.forFiles(to: "verify a session", named: name)
        clinux_catch_interrupts()
        let progress = ProgressPrinter(isInteractive: Terminal.isInteractive)
        let outcome = try service.verify(
            name,
            control: RestoreControl(
                report: { progress.show($0) }, isCancelled: { clinux_interrupted() != 0 }))
        progress.end()
        let later = outcome.chain.count - 1
        try Output.print(
            """
            session \(Output.visible(outcome.session.record.name)): good: \
            \(ByteCount(outcome.totals.bytes).formatted) in \(outcome.totals.chunks) chunks read \
            and checked\(later == 0 ? "" : ", with the \(later) sessions after it")
            """)
    }
}

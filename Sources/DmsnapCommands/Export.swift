import ArgumentParser
import Block
import CLinux
import Restore
import Sessions
import SystemPackage

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write an image of a device as it was, or bring an older one up to it.",
        discussion: """
            FILE becomes what the device was before the session's mount, byte for byte, whether the \
            device is used meanwhile or not. If an export of the same device made FILE, only what the \
            sessions between changed is read and written, forwards or backwards: a backup that takes \
            as long as there were changes. What it holds is read back and compared. FILE.dmsnap says \
            what FILE is.
            """)

    @Argument(help: "A session's name, its directory's path, or an archive file.")
    var session: String

    @Argument(help: "The image.", completion: .file())
    var file: String

    @OptionGroup var looking: LookingOptions

    func run() throws {
        let service = try SnapshotService.forRoot(to: "export a device as it was")
        clinux_catch_interrupts()
        let progress = ProgressPrinter(isInteractive: Terminal.isInteractive)
        let outcome = try {
            defer { progress.end() }
            return try service.viewer.export(
                looking.request(session), to: FilePath(file),
                control: RestoreControl(
                    report: { if Terminal.isInteractive { progress.show($0) } },
                    isCancelled: { clinux_interrupted() != 0 }))
        }()
        if let doubt = outcome.doubt {
            Output.diagnose("all of \(Output.visible(file)) was compared: \(doubt)")
        }
        Output.diagnoseView(session, overridden: outcome.overridden, outcome.conditions)
        try Output.print(
            """
            \(Output.visible(file)) is the device as it was before session \
            \(Output.visible(outcome.session)): \(outcome.size.formatted), of which \
            \(outcome.compared.formatted) were compared and \(outcome.written.formatted) written.
            """)
    }
}

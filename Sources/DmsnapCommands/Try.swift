import ArgumentParser
import Block
import CLinux
import Sessions
import SystemPackage

struct Try: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "try",
        abstract: "Run a command on a device, and have the device as it was afterwards.",
        discussion: """
            Mounts the device's file system on DIR for the command alone, which may write whatever it \
            likes: it goes into a store that is thrown away with the command's end, and the device itself \
            is not written to at all, whatever ends this; but see --commit-on-success. It may be activated or not, mounted or not, a \
            disk or an image file. What the command leaves running is killed. The exit status is the \
            command's; 126 if it can't be run, 127 if there is none; 70 to 79 where something else \
            went wrong.
            """)

    @Argument(help: "A block device by any of its names, or an image file.")
    var device: String

    @Argument(help: "The directory on which the command sees it.", completion: .directory)
    var dir: String

    @Flag(
        help: """
            If the command ends with 0, put what it wrote on the device: a session leads back. The device must be \
            activated, and not in use.
            """)
    var commitOnSuccess = false

    @Option(
        help: """
            A file with the service's password (mode 0600), for scripts that give every verb one: nothing is \
            activated, so it isn't needed; a wrong one is refused.
            """)
    var passfile: String?

    @Argument(
        parsing: .postTerminator, help: "After --: the program and its arguments.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty {
            throw ValidationError("give the COMMAND to run, after --")
        }
    }

    func run() throws {
        do {
            try attempt()
        } catch let error as SessionsError {
            Output.diagnose(error.description)
            throw ExitCode(Self.status(error.exitStatus))
        }
    }

    private func attempt() throws {
        let service = try SnapshotService.forRoot(to: "try something on a device")
        if let passfile {
            try service.password.verify(
                Terminal.password(passfile: passfile, prompt: "dmsnap password: "))
        }
        let directory = try service.viewer.mountPoint(FilePath(dir))
        let trial = try service.viewer.trial(of: device)
        let status: Int32
        do {
            if commitOnSuccess { try service.viewer.requireKeepable(trial) }
            let mount = try trial.view.mounted(isWritable: true)
            status = try mount.run(command, on: directory)
        } catch {
            // Nothing has been run, so there is nothing to be said of the device.
            _ = try? service.viewer.end(trial.view)
            try refuse(error)
        }
        let isFull = try service.viewer.isFull(trial)
        let shown = Output.visible(trial.device)
        if commitOnSuccess, status == 0, !isFull {
            // A signal now is too late: half of it would be on the device.
            clinux_catch_interrupts()
            let label = SessionLabel("before " + command.joined(separator: " "))
            guard let session = try service.viewer.keep(trial, as: label) else {
                return Output.diagnose("the command wrote nothing to \(shown)")
            }
            return Output.diagnose(
                """
                what the command wrote is on \(shown) now; to take it back: dmsnap restore --session \
                \(session.record.name)
                """)
        }
        if try service.viewer.end(trial) {
            Output.diagnose("\(shown) is as it was")
        } else {
            Output.diagnose("what the command wrote is gone; others may have written to \(shown)")
        }
        if isFull {
            Output.diagnose(
                "\(shown): the command wrote more than there was room for, and got I/O errors")
            throw ExitCode(status == 0 ? ExitStatus.ioError.rawValue : status)
        }
        throw ExitCode(status)
    }

    private func refuse(_ error: any Error) throws -> Never {
        switch error as? DetachedMount.Failure {
        case .command(let errno):
            Output.diagnose(
                "\(Output.visible(command[0])): it can't be run: \(errno); give a program by its path, or "
                    + "one that is found by PATH")
            throw ExitCode(errno == .noSuchFileOrDirectory ? 127 : 126)
        case .system(let error): throw SessionsError.system(error)
        case nil: throw error
        }
    }

    /// The contract keeps 70 to 79 for what isn't the command's own: sysexits.h's next of kin there.
    static func status(_ status: ExitStatus) -> Int32 {
        switch status {
        case .noInput: 72
        case .noDeviceMapper: 71
        case .damaged: 76
        case .usage: 78
        case .success, .software, .ioError, .busy, .denied: status.rawValue
        }
    }
}

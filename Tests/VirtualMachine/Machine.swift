public import SystemPackage

/// A virtual machine to be booted: User-Mode Linux, a whole kernel in an ordinary process, with the
/// host's root as a read-only lower layer of its own.
///
/// Nothing the guest writes reaches the host, but for its disks and the shared directory.
public struct Machine: Sendable {
    /// What the first process of the guest is.
    public enum Mode: String, Sendable, Hashable, CaseIterable {
        /// A script that starts udev and runs the command.
        case plain
        /// systemd; the command is a unit that starts after multi-user.target.
        case systemd
    }

    /// Where the guest's standard output and standard error go.
    public enum Output: Sendable, Hashable {
        /// To this process's own, as they come.
        case inherit
        /// Into the outcome.
        case collect
    }

    /// The guest's memory. The host gives it as it is used.
    public var memory = Size.gibibytes(2)
    /// At most 8 disks, in the order of their `/dev/ubdX`.
    public var disks: [Disk] = []
    /// Directories laid over the host's root, the first on top; for instance where
    /// `make install DESTDIR=` put the program under test.
    public var layers: [FilePath] = []
    /// The name of the disk that keeps what the guest writes to its root (/etc, /var …) for the
    /// next boot; `nil` keeps it in memory. The disk gets a file system when it is first used.
    public var systemDisk: String?
    /// A directory of the host, `/vm` in the guest; `nil` makes one for the run only.
    public var share: FilePath?
    /// Where the kernel log is written at the end; `nil` puts `kernel.log` into a named `share`.
    public var kernelLogFile: FilePath?
    /// The command's working directory, an absolute path; the host's current one at first.
    public var workingDirectory: FilePath
    /// Directories below /tmp or /run that the guest must see at their own paths. The repository
    /// around the working directory, the layers and the share are seen anyway.
    public var reachable: [FilePath] = []
    /// Variables for the command, in addition to a plain environment or in place of its own.
    public var environment: [String: String] = [:]
    /// What the first process of the guest is.
    public var mode = Mode.plain
    /// Where the command's output goes.
    public var output = Output.inherit
    /// How long the machine may run. It is killed then.
    public var timeLimit = Duration.seconds(600)
    /// How long a device may be suspended before the run fails and the device is resumed.
    public var suspendLimit = Duration.seconds(20)
    /// How long a task may be blocked before the run fails.
    public var taskLimit = Duration.seconds(60)
    /// Parts of lines of the kernel log that the caller expects.
    public var ignoring: [String] = []
    /// The scripts of the guest: the directory `Guest` next to this file.
    public var guestFiles: FilePath
    /// The kernel's program; `nil` looks for `linux.uml` in PATH.
    public var kernel: FilePath?

    /// A machine without disks, with the defaults above.
    public init() {
        workingDirectory = HostFiles.currentDirectory
        guestFiles = FilePath(#filePath).removingLastComponent().appending("Guest")
    }

    /// Boots the machine with a command, and returns as soon as the kernel's process runs.
    public func boot(_ command: Command) throws(MachineError) -> RunningMachine {
        try RunningMachine(self, command)
    }

    /// Boots the machine, runs the command, and returns when the machine has ended. A cancelled
    /// task kills it.
    public func run(_ command: Command) async throws(MachineError) -> Outcome {
        let running = try boot(command)
        return await withTaskCancellationHandler {
            await running.outcome()
        } onCancel: {
            running.kill()
        }
    }
}

import ArgumentParser
import SystemPackage
import VirtualMachine

/// The options that describe the machine, and are the same for every verb.
struct MachineOptions: ParsableArguments {
    @Option(name: .customLong("mem"), help: "The guest's memory.")
    var memory = "2G"

    @Option(
        name: .customLong("disk"),
        help: ArgumentHelp(
            "A disk, /dev/vm/NAME in the guest. A file that doesn't exist is made with that size.",
            valueName: "NAME=FILE[:SIZE]"))
    var disks: [String] = []

    @Option(
        name: .customLong("layer"),
        help: ArgumentHelp("A directory laid over the root; the first is on top.", valueName: "dir")
    )
    var layers: [String] = []

    @Option(
        name: .customLong("system-disk"),
        help: ArgumentHelp(
            "The disk that keeps what is written to the root for the next boot.", valueName: "name")
    )
    var systemDisk: String?

    @Option(help: ArgumentHelp("A directory, /vm in the guest.", valueName: "dir"))
    var share: String?

    @Option(
        name: .customLong("kernel-log"),
        help: ArgumentHelp(
            "Where the kernel log goes (kernel.log in the shared directory).", valueName: "file"))
    var kernelLog: String?

    @Option(
        name: .customLong("bind"),
        help: ArgumentHelp(
            "A directory below /tmp or /run that the guest must see.", valueName: "dir"))
    var reachable: [String] = []

    @Option(
        name: .customLong("env"),
        help: ArgumentHelp("A variable for the command.", valueName: "name=value"))
    var environment: [String] = []

    @Option(
        name: .customLong("directory"),
        help: ArgumentHelp("The command's working directory (the current one).", valueName: "dir"))
    var directory: String?

    @Flag(help: "systemd is the guest's first process, and the command one of its units.")
    var systemd = false

    @Option(
        name: .customLong("ignore"),
        help: ArgumentHelp(
            "Lines of the kernel log with this text don't fail the run.", valueName: "text"))
    var ignoring: [String] = []

    /// The machine that the options describe.
    func machine(timeLimit: Int64) throws -> Machine {
        var machine = Machine()
        guard let memory = Size(memory) else {
            throw ValidationError("--mem \(memory): a size is wanted, as 2G")
        }
        machine.memory = memory
        machine.disks = try disks.map(disk)
        machine.layers = layers.map { FilePath($0) }
        machine.systemDisk = systemDisk
        machine.share = share.map { FilePath($0) }
        machine.kernelLogFile = kernelLog.map { FilePath($0) }
        machine.reachable = reachable.map { FilePath($0) }
        machine.mode = systemd ? .systemd : .plain
        machine.timeLimit = .seconds(timeLimit)
        machine.ignoring = ignoring
        if let directory {
            machine.workingDirectory = machine.workingDirectory.pushing(FilePath(directory))
        }
        for variable in environment {
            let parts = variable.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw ValidationError("--env \(variable): NAME=VALUE is wanted")
            }
            machine.environment[String(parts[0])] = String(parts[1])
        }
        return machine
    }

    private func disk(_ text: String) throws -> Disk {
        guard let match = text.wholeMatch(of: #/([^=]+)=(.+?)(?::([0-9]+[KMGTkmgt]?))?/#) else {
            throw ValidationError("--disk \(text): NAME=FILE or NAME=FILE:SIZE is wanted")
        }
        let size = match.3.flatMap { Size(String($0)) }
        return Disk(String(match.1), at: FilePath(String(match.2)), size: size)
    }
}

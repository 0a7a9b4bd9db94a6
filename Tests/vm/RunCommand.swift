import ArgumentParser
import VirtualMachine

/// `vm run`: a command, its output and its status.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Boots the machine and runs a command in it.",
        discussion: """
            The exit status is the command's; 99 if the kernel failed the run (an oops, a warning, \
            a task that was blocked, a device that was left suspended); 124 at the time limit.
            """)

    @OptionGroup var options: MachineOptions

    @Option(
        name: .customLong("time-limit"),
        help: ArgumentHelp("Kill the machine after that time.", valueName: "seconds"))
    var timeLimit: Int64 = 600

    @Flag(help: "Say on standard error how long the machine took.")
    var timing = false

    @Argument(parsing: .postTerminator, help: "The command, after --.")
    var command: [String]

    func validate() throws {
        guard timeLimit > 0 else { throw ValidationError("--time-limit must be above 0") }
        guard !command.isEmpty else { throw ValidationError("there is no command after --") }
    }

    func run() async throws {
        let machine = try options.machine(timeLimit: timeLimit)
        try await conduct(machine, .arguments(command), timing: timing)
    }
}

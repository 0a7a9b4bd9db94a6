import ArgumentParser
import VirtualMachine

/// `vm shell`: a shell on this terminal.
struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "Boots the machine with a shell on this terminal.")

    @OptionGroup var options: MachineOptions

    @Option(
        name: .customLong("time-limit"),
        help: ArgumentHelp("Kill the machine after that time.", valueName: "seconds"))
    var timeLimit: Int64 = 86_400

    func run() async throws {
        try await conduct(try options.machine(timeLimit: timeLimit), .shell, timing: false)
    }
}

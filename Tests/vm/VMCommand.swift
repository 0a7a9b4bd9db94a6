import ArgumentParser

/// The command line of the virtual machine.
@main
struct VMCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vm",
        abstract: "Runs a command in a machine of its own, with a real device-mapper.",
        discussion: """
            The machine is User-Mode Linux: a whole kernel as an ordinary process, with the files \
            of this system as its own. What it writes is thrown away, but for its disks and /vm.
            """,
        subcommands: [RunCommand.self, ShellCommand.self])
}

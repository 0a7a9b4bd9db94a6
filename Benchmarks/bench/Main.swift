import ArgumentParser

/// What `make bench` runs: each pair of programs in one run, on one machine, one after the other.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", subcommands: [Guest.self, Host.self, Peak.self, Report.self])
}

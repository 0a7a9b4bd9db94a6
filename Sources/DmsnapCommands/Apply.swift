import ArgumentParser
import Sessions
import SystemPackage

struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Activate what [[device]] sections of the configuration name.",
        discussion: """
            The monitor does it by itself as devices appear; this does it now, and says for each what it did. \
            What is activated and in no section is left alone.
            """)

    func run() throws {
        let service = try SnapshotService.forRoot(to: "activate devices")
        let rules = try service.rules()
        if rules.isEmpty {
            return try Output.print(
                "There is no [[device]] section in \(Output.visible(service.layout.configuration.string))."
            )
        }
        var failure: SessionsError?
        for rule in rules {
            let shown = Output.visible("\(rule)")
            do {
                switch try service.apply(rule) {
                case .activated(let activation):
                    try Output.print(
                        "\(shown): activated, mount \(Output.visible(service.path(of: activation)))"
                    )
                case .changed: try Output.print("\(shown): changed")
                case .alreadySo: try Output.print("\(shown): already so")
                case .waits(let reason):
                    try Output.print(
                        "\(shown): \(Output.visible(reason)); it is activated when that is over")
                case .notThere: try Output.print("\(shown): not there yet")
                }
            } catch let error as SessionsError {
                Output.diagnose(error.description)
                failure = failure ?? error
            }
        }
        // Somebody has to see what appears.
        try MonitorLauncher.ensureRunning(service.layout)
        if let failure { throw ExitCode(failure.exitStatus.rawValue) }
    }
}

import ArgumentParser
import Block
import Sessions

struct GroupVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group",
        abstract: "Make a group of devices that belong together, show it, or forget it.",
        discussion: """
            As data and its log do, or a database and its tablespaces: `dmsnap checkpoint NAME` takes a checkpoint of all of \
            them at one instant, and `dmsnap restore NAME` puts all of them back to one. With devices the group is made, \
            or gets these in the place of those that it has; without, it is shown.
            """)

    @Argument(help: "The group's name: letters, digits, '.', '_' and '-'.")
    var name: String

    @Argument(help: "Activated devices by any of their names, or image files.")
    var devices: [String] = []

    @Flag(help: "Forget the group; its devices stay activated, and their sessions stay.")
    var dissolve = false

    func validate() throws {
        guard GroupName(name) != nil else {
            throw ValidationError(
                "a group's name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit"
            )
        }
        if dissolve, !devices.isEmpty {
            throw ValidationError("--dissolve forgets the group with all of its devices: name none")
        }
    }

    func run() throws {
        guard let name = GroupName(name) else { throw ValidationError("no group's name") }
        let service = try SnapshotService.forRoot(to: "group devices")
        if dissolve {
            try service.dissolve(name)
            try Output.print("\(name): is a group no more; its devices stay activated.")
            return
        }
        let report =
            try devices.isEmpty ? service.report(on: name) : service.setGroup(name, devices)
        let paths = report.devices.map { Output.visible(service.path(of: $0)) }
        try Output.print("\(name): \(paths.joined(separator: ", "))")
        try Output.print(
            report.instant == nil
                ? "They have no instant in common yet: they get one as soon as none of them is in use, or with "
                    + "`dmsnap checkpoint \(name)`."
                : "They go back to one instant: `dmsnap restore \(name)`, when they have been used."
        )
    }
}

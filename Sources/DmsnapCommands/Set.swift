public import ArgumentParser
import Block
public import Sessions

extension RestoreAt: ExpressibleByArgument {}

struct SetVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change when a device is put back by itself, and to what.",
        discussion: """
            Under an overlay what was written over the device is given up then. Else it is put back to its base, \
            as a restore does: at the last unmount while it can be mounted again already, after a boot before \
            anybody can have it.
            """)

    @OptionGroup var device: DeviceOptions

    @Option(
        help: """
            never; unmount: when it is not in use any more, and when the machine boots; boot: when the machine \
            boots.
            """)
    var restoreAt: RestoreAt?

    @Option(
        help: ArgumentHelp(
            """
            What it is put back to: what it was before this session, which is pinned; or last, for what it is \
            now, or was before the mount that is under way.
            """, valueName: "session"))
    var base: String?

    @Option(
        help: ArgumentHelp(
            "How many of the times that it was put back can be undone (0).", valueName: "n"))
    var keep: Int?

    func validate() throws {
        _ = try device.required()
        if restoreAt == nil, base == nil, keep == nil {
            throw ValidationError("nothing to change: give --restore-at, --base or --keep")
        }
        if restoreAt == .never, base != nil || keep != nil {
            throw ValidationError(
                "--restore-at never has no base, and keeps nothing: leave those out")
        }
    }

    func run() throws {
        let name = try device.required()
        let service = try SnapshotService.forRoot(to: "change a device's settings")
        let change = PolicyChange(
            restoreAt: restoreAt, base: base.map { $0 == "last" ? .last : .session($0) }, keep: keep
        )
        let activation = try service.set(name, change)
        try Output.print("\(Output.visible(name)): \(Self.sentence(activation)).")
    }

    /// What becomes of what is written to a device.
    static func sentence(_ activation: Activation) -> String {
        let time = activation.timeOfRestore
        guard activation.restoreAt == nil else {
            return switch time {
            case .never: "what is written over it stays until you say so"
            case .unmount: "what is written over it is given up when it is not in use any more"
            case .boot: "what is written over it is given up at the next boot"
            }
        }
        guard let policy = activation.restorePolicy else { return "it is not put back by itself" }
        let base = policy.session.map { "what it was before session \(Output.visible($0))" }
        return switch time {
        case .never: "it is not put back by itself"
        case .unmount:
            "it is put back to \(base ?? "what it was before its mount") when it is not in use any more"
        case .boot:
            "it is put back to \(base ?? "what it was before it was mounted") at the next boot"
        }
    }
}

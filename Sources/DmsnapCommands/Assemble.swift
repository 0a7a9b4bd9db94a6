import ArgumentParser
import Block
import Sessions

struct Assemble: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "assemble",
        abstract: "After a boot or a crash, put activated devices together again.",
        discussion: """
            The monitor does it by itself as devices and files appear; this does it now, and starts \
            the monitor where systemd does not.
            """)

    @OptionGroup var device: DeviceOptions

    func run() throws {
        let service = try SnapshotService.forRoot(to: "assemble a device")
        for failure in try service.keeper.recover() { Output.diagnose(failure.description) }
        var all = try service.activations()
        if let named = device.named {
            guard let one = try service.find(named) else {
                throw SessionsError.notActivated(named)
            }
            all = [one]
        }
        var failure: SessionsError?
        for activation in all {
            let path = Output.visible(activation.path)
            do {
                switch try service.assemble(activation.id) {
                case .assembled(let session):
                    let origin = Output.visible(service.path(of: activation))
                    try Output.print("\(path): assembled, mount \(origin)")
                    if let session {
                        try Output.print(
                            "Session \(Output.visible(session.record.name)) was cut short, and is "
                                + "closed now.")
                    }
                case .alreadyAssembled: try Output.print("\(path): assembled already")
                case .notThere:
                    failure = .noSuchDevice(activation.path.text)
                    Output.diagnose("\(activation.path): it, or its store, is not there yet")
                case .forgotten: try Output.print("\(path): its deactivation was completed")
                }
            } catch let error as SessionsError {
                Output.diagnose(error.description)
                failure = error
            }
        }
        if try !service.activations().isEmpty {
            try MonitorLauncher.ensureRunning(service.layout)
        }
        if let failure { throw ExitCode(failure.exitStatus.rawValue) }
    }
}

/// What the udev rule asks about every raw block device while anything is activated.
struct DeviceClaimed: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device-claimed",
        abstract: "Say whether a raw device is an activated one; run by the udev rule.",
        discussion:
            "Prints `waiting` before it is assembled, `assembled` afterwards; 1 if neither.",
        shouldDisplay: false)

    @Argument(help: "The device's node.")
    var node: String

    func run() throws {
        let service = try SnapshotService.forRoot(to: "ask whose a device is")
        guard let activation = try service.claimant(of: node) else { throw ExitCode(1) }
        let isWaiting = try service.missing().contains { $0.id == activation.id }
        try Output.print(isWaiting ? "waiting" : "assembled")
    }
}

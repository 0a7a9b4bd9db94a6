import ArgumentParser
import Sessions

struct Deactivate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deactivate",
        abstract: "End it; the sessions stay.",
        discussion: "Needs root and the service's password. The device must not be mounted.")

    @OptionGroup var device: DeviceOptions
    @OptionGroup var password: PasswordOptions

    @Flag(help: "If it is in use, deactivate it when that ends.")
    var whenUnmounted = false

    func validate() throws {
        _ = try device.required()
    }

    func run() throws {
        let name = try device.required()
        let service = try SnapshotService.forRoot(to: "deactivate a device")
        try service.password.verify(password.read())
        let shown = Output.visible(name)
        switch try service.deactivate(name, waiting: whenUnmounted) {
        case .deactivated(let closed, let group):
            try Output.print("\(shown) is deactivated; its sessions stay.")
            if let closed {
                try Output.print("Session \(Output.visible(closed.record.name)) is closed.")
            }
            if let group { try Output.print("It is in the group \(group) no more.") }
        case .waits(let reason):
            try MonitorLauncher.ensureRunning(service.layout)
            try Output.print(
                "\(shown): \(Output.visible(reason)); it is deactivated when that is over.")
        case .calledOff:
            try Output.print(
                "\(shown) was to be activated when it is unmounted, and is not any more.")
        }
    }
}

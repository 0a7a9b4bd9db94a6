import ArgumentParser
import Sessions

struct Deactivate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End it; the sessions stay.",
        discussion: "Needs root and the service's password. The device must not be mounted.")

    @OptionGroup var device: DeviceOptions
    @OptionGroup var password: PasswordOptions

    func validate() throws {
        _ = try device.required()
    }

    func run() throws {
        let name = try device.required()
        let service = try SnapshotService.forRoot(to: "deactivate a device")
        try service.password.verify(password.read())
        let closed = try service.deactivate(name)
        try Output.print("\(Output.visible(name)) is deactivated; its sessions stay.")
        if let closed {
            try Output.print("Session \(Output.visible(closed.record.name)) is closed.")
        }
    }
}

import ArgumentParser
import CLinux
import Sessions

struct Reset: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Put a device back to what it was before its last mount.",
        discussion: """
            What a mount, its checkpoints, and writes since have changed is undone, without a question; under an \
            overlay what was written is discarded. Where the device was put back since its last mount there is \
            nothing to do. It must not be mounted.
            """)

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        _ = try device.required()
    }

    func run() throws {
        let name = try device.required()
        let service = try SnapshotService.forRoot(to: "put a device back")
        if let active = try? service.find(name), active.restoreAt != nil {
            return try Discard.perform(name, service)
        }
        clinux_catch_interrupts()
        guard let request = try service.resetRequest(for: name) else {
            return try Output.print(
                "\(Output.visible(name)): there is no mount to undo.")
        }
        try Restore.perform(request, service)
    }
}

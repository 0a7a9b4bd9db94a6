import ArgumentParser
import Block
import ExceptionStore
import Sessions
import SystemPackage

struct Activate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "activate",
        abstract: "Make every mount of a device a session from now on.",
        discussion: "Needs root and the service's password (see `dmsnap passwd`).")

    @OptionGroup var device: DeviceOptions
    @OptionGroup var password: PasswordOptions

    @Option(
        help: """
            How much is copied at a time: a power of two, 512B to 1G (a number alone counts 512-byte sectors); larger ones cost more for small \
            writes and less for large ones.
            """)
    var chunkSize: String?

    @Option(help: "The sessions' base directory instead of the configured one.")
    var storeDir: String?

    enum Store: String, CaseIterable, ExpressibleByArgument {
        case ram
    }

    @Option(
        help: "With an overlay: ram, for a store in memory (in /run), which is gone after a boot.")
    var store: Store?

    @Flag(help: "If it is in use, activate it when that ends.")
    var whenUnmounted = false

    @Option(
        help: """
            capture: the device is written, and what is overwritten is kept, a session for every mount. \
            overlay: the device is not written at all; what is written goes into a store in its place, until it \
            is given up or committed.
            """)
    var mode: DeviceStatus.Mode = .capture

    @Option(
        help: """
            When it is put back by itself to what it was before it was mounted, or what was written over it is \
            given up; `dmsnap set` changes it.
            """)
    var restoreAt: RestoreAt?

    func validate() throws {
        _ = try device.required()
        if store != nil, storeDir != nil {
            throw ValidationError("--store ram and --store-dir don't go together: leave one out")
        }
        if let contradiction = try request().contradiction {
            throw ValidationError(contradiction)
        }
    }

    private func request() throws -> ActivationRequest {
        let chunk = try chunkSize.map { text in
            do {
                return try ChunkSize(parsing: text)
            } catch {
                throw ValidationError("--chunk-size \(text): \(error)")
            }
        }
        let overlay = restoreAt.map { ActivationRequest.Mode.overlay($0) } ?? .anyOverlay
        return ActivationRequest(
            mode == .overlay ? overlay : .capture, putBackAt: mode == .overlay ? nil : restoreAt,
            chunkSize: chunk,
            place: store != nil
                ? .memory : storeDir.map { .directory(FilePath($0)) } ?? .configured)
    }

    func run() throws {
        let name = try device.required()
        let request = try request()
        let service = try SnapshotService.forRoot(to: "activate a device")
        try service.password.verify(password.read())
        let outcome: ActivationOutcome
        if whenUnmounted {
            switch try service.activateWhenUnmounted(name, request) {
            case .done(let done): outcome = done
            case .waits(let reason):
                try MonitorLauncher.ensureRunning(service.layout)
                return try Output.print(
                    """
                    \(Output.visible(name)): \(Output.visible(reason)); it is activated when that is \
                    over.
                    """)
            }
        } else {
            outcome = try service.activate(name, request)
        }
        do {
            try MonitorLauncher.ensureRunning(service.layout)
        } catch {
            // It would be activated, and nobody see a mount.
            if case .activated = outcome { try service.deactivate(name) }
            throw error
        }
        switch outcome {
        case .activated(let activation) where activation.restoreAt != nil:
            try Output.print(
                """
                \(Output.visible(activation.path)) is activated: mount \
                \(Output.visible(service.path(of: activation))) in its place.
                The device itself is not written any more: what is written goes \
                \(Self.destination(of: activation)).
                """)
        case .activated(let activation):
            let path = Output.visible(service.path(of: activation))
            try Output.print(
                """
                \(Output.visible(activation.path)) is activated: mount \(path) in its place.
                Every mount is a session under \(Output.visible(activation.base.path)).
                """)
            if activation.restorePolicy != nil {
                try Output.print("Besides, \(SetVerb.sentence(activation)).")
            }
        case .alreadyActive(let activation):
            try Output.print(
                """
                \(Output.visible(activation.path)) is activated already: \
                mount \(Output.visible(service.path(of: activation))).
                """)
        }
    }

    private static func destination(of activation: Activation) -> String {
        activation.isInMemory == true
            ? "into memory, and is gone after a boot"
            : "into a store under \(Output.visible(activation.base.path))"
    }
}

import ArgumentParser
import Block
import CLinux
import Restore
import Sessions
import SystemPackage

struct Browse: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "browse",
        abstract: "Mount a device as it was before a session's mount, to look into it.",
        discussion: """
            DIR shows the files read-only, while the device itself is mounted and written to or not. \
            Nothing is changed, neither the device nor the session: what a file system writes to \
            recover its journal is thrown away. It goes with `dmsnap browse --stop DIR`, with \
            `umount DIR`, and with a reboot, and leaves nothing behind.
            """)

    @Argument(help: "A session's name, its directory's path, or an archive file.")
    var session: String?

    @Argument(help: "The directory to mount it on.", completion: .directory)
    var dir: String?

    @OptionGroup var looking: LookingOptions

    @Option(help: "Unmount what is looked into at DIR, and take it down.")
    var stop: String?

    func validate() throws {
        if stop != nil {
            guard session == nil, dir == nil, looking.areUnused else {
                throw ValidationError("--stop takes the directory alone")
            }
        } else if session == nil || dir == nil {
            throw ValidationError(
                "give a SESSION and a DIR to mount it on; `dmsnap sessions` lists the sessions")
        }
    }

    func run() throws {
        let service = try SnapshotService.forRoot(to: "look into a session")
        if let stop {
            try service.viewer.stop(FilePath(stop))
            return
        }
        guard let session, let dir else { return }
        // What is compressed is decompressed by a process that stays.
        let background = try BackgroundProcess()
        let found = try service.session(named: session)
        let view = try service.viewed(looking.request(session))
        do {
            try service.viewer.mount(view, on: FilePath(dir))
        } catch {
            try service.viewer.using(view, of: found) { throw error }
        }
        try Output.print(
            """
            \(Output.visible(dir)) shows the device as it was before session \
            \(Output.visible(found.record.name)), read-only.
            To end it: umount \(Output.visible(dir))
            """)
        guard view.needsProcess else { return }
        try background.stay()
        view.serveUntilUnused()
    }
}

/// Which device is looked at, and in spite of what.
struct LookingOptions: ParsableArguments {
    @Option(help: "Look at this device or image file instead of the session's own.")
    var device: String?

    @Flag(
        help: """
            Look though the device was written since its last session, or its chain has a gap or a \
            break.
            """)
    var acceptWrites = false

    @Flag(help: "Look though the session's device is another one than was activated.")
    var otherDevice = false

    var areUnused: Bool { device == nil && !acceptWrites && !otherDevice }

    func request(_ session: String) -> RestoreRequest {
        var request = RestoreRequest(session: session)
        request.device = device
        request.acceptsWrites = acceptWrites
        request.acceptsOtherDevice = otherDevice
        return request
    }
}

extension SnapshotService {
    /// A view, and what has to be known of it on standard error.
    func viewed(_ request: RestoreRequest, _ moment: View.Moment = .beginning) throws -> View {
        // Killed in the middle it would leave udev's cookie.
        clinux_hold_interrupts(1)
        defer { clinux_hold_interrupts(0) }
        let view = try viewer.view(request, moment)
        Output.diagnoseView(request.session, overridden: view.overridden, view.conditions)
        return view
    }

    /// Runs `body` with a view, and returns when the kernel has taken that away, whatever came of it.
    func lookingInto<Result>(
        _ request: RestoreRequest, _ moment: View.Moment = .beginning,
        _ body: (View) throws -> Result
    ) throws -> Result {
        let session = try session(named: request.session)
        let view = try viewed(request, moment)
        return try viewer.using(view, of: session) { try body(view) }
    }
}

extension Output {
    /// What has to be known of a view beside what it shows.
    static func diagnoseView(_ session: String, overridden: [String], _ conditions: [String]) {
        if !overridden.isEmpty {
            diagnose(
                "\(overridden.joined(separator: "; ")): the device need not have been that before "
                    + "session \(session)")
        }
        if !conditions.isEmpty {
            diagnose(
                "the device was that before session \(session) if "
                    + conditions.joined(separator: " and "))
        }
    }
}

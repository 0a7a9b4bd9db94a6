public import ArgumentParser
import Block
import CLinux
import Restore
public import Sessions

extension DeviceStatus.Mode: ExpressibleByArgument {}

struct Discard: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Give up what was written over a device under an overlay.",
        discussion: """
            The device, which was not written, is what it shows again, at once and whatever was written. It must \
            not be mounted.
            """)

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        _ = try device.required()
    }

    func run() throws {
        try Self.perform(
            device.required(), SnapshotService.forRoot(to: "discard what was written"))
    }

    /// Discards, and says what came of it.
    ///
    /// - Throws: `ExitCode` where the device isn't what it was.
    static func perform(_ name: String, _ service: SnapshotService) throws {
        let shown = Output.visible(name)
        switch try service.discard(name) {
        case .nothingToDo: try Output.print("\(shown): nothing was written over it.")
        case .discarded(_, true):
            try Output.print(
                "\(shown): what was written over it is gone; it is what it was before that.")
        case .discarded(_, false):
            try Output.print("\(shown): what was written over it is gone.")
            Output.diagnose(
                "\(shown) is NOT what it was before: something wrote to the device itself, under its overlay"
            )
            throw ExitCode(ExitStatus.damaged.rawValue)
        }
    }
}

struct Commit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit",
        abstract: "Write to a device what was written over it.",
        discussion: """
            Everything is read and checked before the first byte is written, and read again from the device \
            afterwards. Interrupted, the same command goes on. It must not be mounted. Sessions from before lead \
            back only with --accept-writes.
            """)

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        _ = try device.required()
    }

    func run() throws {
        let name = try device.required()
        let service = try SnapshotService.forRoot(to: "commit what was written")
        // The first signal stops cleanly between two writes.
        clinux_catch_interrupts()
        let progress = ProgressPrinter(isInteractive: Terminal.isInteractive)
        let outcome = try service.commit(
            name,
            control: RestoreControl(
                report: { progress.show($0) }, isCancelled: { clinux_interrupted() != 0 }))
        progress.end()
        let shown = Output.visible(name)
        switch outcome {
        case .nothingToDo: try Output.print("\(shown): nothing was written over it.")
        case .committed(let report, let wasFull):
            try Output.print(
                """
                \(shown): \(ByteCount(report.totals.bytes).formatted) that were written over it are on it now.
                """)
            guard wasFull else { return }
            Output.diagnose(
                """
                \(shown): its store was full: what was to be written then has failed, and is not on it; check \
                its file system
                """)
            throw ExitCode(ExitStatus.ioError.rawValue)
        }
    }
}

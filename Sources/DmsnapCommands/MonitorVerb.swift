import ArgumentParser
import CLinux
import Logging
import Monitor
import Sessions
import SystemPackage

struct MonitorVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "monitor",
        abstract: "See mounts begin and end; started by itself, through systemd or `activate`.")

    @Option(help: .hidden)
    var readyDescriptor: Int32?

    func run() throws {
        let service = try SnapshotService.forRoot(to: "run the monitor")
        var log = Logger(label: "dmsnap") { _ in StreamLog(to: .standardError) }
        log.logLevel = .info
        try Monitor(service: service, log: log).run {
            _ = unsafe clinux_notify("READY=1")
            if let readyDescriptor {
                let descriptor = FileDescriptor(rawValue: readyDescriptor)
                _ = try? descriptor.writeAll([1])
                try? descriptor.close()
            }
        }
    }
}

/// What the udev rule runs for an `opened` event of one of our devices.
struct SessionOpened: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session-opened",
        abstract: "Open the session of a mounted device; run by the udev rule.",
        shouldDisplay: false)

    @Argument(help: "The device-mapper name.")
    var name: String

    func run() throws {
        // A rule's standard error goes nowhere: the kernel's log is read by everybody.
        let kernelLog = try? FileDescriptor.open(
            FilePath("/dev/kmsg"), .writeOnly, options: [.closeOnExec])
        let log = Logger(label: "dmsnap") { _ in
            StreamLog(to: kernelLog ?? .standardError, prefix: "<30>dmsnap: ")
        }
        do {
            let service = try SnapshotService.forRoot(to: "open a session")
            switch try service.openSession(name) {
            case .opened(let session): log.info("\(session): opened")
            case .alreadyOpen, .later, .over: break
            }
        } catch {
            log.error("\(name): \(error)")
            throw error
        }
    }
}

/// Log lines on a descriptor: the level where it is worse than information, then the message.
struct StreamLog: LogHandler {
    let descriptor: FileDescriptor
    let prefix: String
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    init(to descriptor: FileDescriptor, prefix: String = "") {
        self.descriptor = descriptor
        self.prefix = prefix
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let level = event.level > .info ? "\(event.level): " : ""
        _ = try? descriptor.writeAll(
            "\(prefix)\(level)\(Output.visible("\(event.message)"))\n".utf8)
    }
}

/// What the monitor has run for each archive.
struct AfterArchive: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "after-archive",
        abstract: "Run the command for archives where it is due; run by the monitor.",
        shouldDisplay: false)

    func run() throws {
        let service = try SnapshotService.forFiles(to: "run the command for archives", named: nil)
        var log = Logger(label: "dmsnap") { _ in StreamLog(to: .standardError) }
        log.logLevel = .info
        try service.aftercare.run { outcome in
            switch outcome {
            case .succeeded(let name): log.info("\(name): the command for archives has ended well")
            case .failed(let name, let reason, let due):
                log.error(
                    "\(name): the command for archives failed: \(reason); it is run again at \(Moment.text(due))"
                )
            }
        }
    }
}

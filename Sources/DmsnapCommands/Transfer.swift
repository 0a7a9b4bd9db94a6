import ArgumentParser
import Block
import CLinux
import Glibc
import Sessions
import Synchronization
import SystemPackage

struct Send: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Write sessions as a stream, for `dmsnap receive` on another machine.",
        discussion: """
            dmsnap send SESSION | ssh HOST dmsnap receive

            Each session is sent with its record and its archive; one that has no archive yet gets it \
            first. Where the stream was cut, `receive` prints a POINT: `send --from POINT` leaves out what \
            has come, and `receive --resume` goes on there.
            """)

    @OptionGroup var sessions: SessionsOptions

    @Option(help: "Send all sessions of the chain from this one on, up to SESSION.")
    var since: String?

    @Option(help: "Go on where `receive` said it was cut off.")
    var from: String?

    func validate() throws {
        if let from, ResumePoint(from) == nil {
            throw ValidationError("--from \(from): it is not what `dmsnap receive` printed")
        }
    }

    func run() throws {
        let output = FileDescriptor.standardOutput
        guard isatty(output.rawValue) == 0 else {
            throw ValidationError(
                "standard output is a terminal; lead it to `dmsnap receive`, or to a file")
        }
        let service = try SnapshotService.forFiles(
            to: "send a session", named: sessions.named.first)
        clinux_catch_interrupts()
        let progress = TransferPrinter("sending")
        defer { progress.end() }
        let sent = try service.sender.send(
            sessions.named, since: since, resume: from.flatMap { ResumePoint($0) }, to: output,
            control: progress.control)
        progress.end()
        for name in sent { Output.progress("\(Output.visible(name)): sent\n") }
    }
}

struct Receive: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Take sessions from a stream that `dmsnap send` writes.",
        discussion: """
            They are read back and checked, and appear in the directory of sessions, each whole or not at \
            all. `dmsnap restore --session S --device DEVICE` puts a copy of their device back.

            Where the stream is cut, what has come stays, and the POINT to go on from is printed; without \
            --resume it is thrown away. With an empty input --resume prints the point alone.
            """)

    @Flag(help: "Go on with what an earlier one has left.")
    var resume = false

    func run() throws {
        let service = try SnapshotService.forFiles(to: "receive sessions", named: nil)
        let input = FileDescriptor.standardInput
        guard isatty(input.rawValue) == 0 else {
            throw ValidationError(
                "standard input is a terminal; lead a stream of `dmsnap send` to it")
        }
        clinux_catch_interrupts()
        let progress = TransferPrinter("receiving")
        defer { progress.end() }
        do {
            try service.receiver.receive(
                from: input, resuming: resume, control: progress.control
            ) { outcome in
                progress.end()
                switch outcome {
                case .received(let name): try Output.print("\(Output.visible(name)): received")
                case .present(let name):
                    try Output.print("\(Output.visible(name)): it is here already")
                }
            }
        } catch SessionsError.transfer(let failure) {
            progress.end()
            if let point = failure.resume { try Output.print("\(point)") }
            throw SessionsError.transfer(failure)
        }
    }
}

/// How much of a session was sent or received, on standard error if that is a terminal.
private final class TransferPrinter: Sendable {
    private let title: String
    private let isInteractive = Terminal.isInteractive
    private let start = ContinuousClock.now
    private let isShown = Atomic<Bool>(false)

    init(_ title: String) {
        self.title = title
    }

    var control: TransferControl {
        TransferControl(
            report: { name, done, total in self.show(name, done, total) },
            isCancelled: { clinux_interrupted() != 0 })
    }

    private func show(_ name: SessionName, _ done: UInt64, _ total: UInt64) {
        guard isInteractive, ContinuousClock.now - start > .seconds(1) else { return }
        isShown.store(true, ordering: .relaxed)
        Output.progress(
            "\r\u{1b}[K\(title) \(Output.visible(name)): \(Percent.text(done, of: total)) of "
                + ByteCount(total).formatted)
    }

    func end() {
        guard isShown.exchange(false, ordering: .relaxed) else { return }
        Output.progress("\r\u{1b}[K")
    }
}

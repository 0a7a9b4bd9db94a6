import Dispatch
import Foundation
import Synchronization
import SystemPackage

/// A machine that has been booted. It ends by itself, at its time limit at the latest, and leaves
/// nothing behind, whether anybody waits for it or not.
public final class RunningMachine: Sendable {
    private struct State {
        var command: Outcome.End?
        var bootTime: Duration?
        var output: [UInt8] = []
        var errorOutput: [UInt8] = []
        /// Why the host ended the machine, if it did so before the command had ended.
        var killed: Outcome.End?
        var shutdownLate = false
        var ended = false
    }

    private let machine: Machine
    private let directory: RunDirectory
    private let reaper: Reaper
    private let child: Child
    /// Until the machine's end.
    private let processor = Mutex(Processor?.none)
    private let started = ContinuousClock.now
    private let state = Mutex(State())
    private let board = Board()
    private let relays = DispatchGroup()

    /// A kernel that panics aborts; it must not dump the guest's memory on the host.
    private static let launcher =
        #"ulimit -c 0; cd "$1" && on=$2 && shift 2 && exec ${on:+taskset -c $on} "$0" "$@""#

    /// How long the guest may take to write everything back and shut down.
    private static let shutdownLimit = Duration.seconds(60)

    init(_ machine: Machine, _ command: Command) throws(MachineError) {
        guard let kernel = machine.kernel ?? HostFiles.program("linux.uml") else {
            throw .notInstalled("linux.uml")
        }
        guard HostFiles.exists(RunDirectory.modules) else {
            throw .notInstalled(RunDirectory.modules.string)
        }
        guard machine.disks.count <= 8 else {
            throw .invalid("a machine has 8 disks at most")
        }
        let interactive = command == .shell
        let directory = try RunDirectory(machine, command)
        let channels: Channels
        do throws(MachineError) {
            channels = try Channels(directory)
            defer { channels.closeGuestEnds() }
            let reaper = try Reaper(directories: directory.directories)
            do throws(MachineError) {
                let processor = Processor.quietest()
                child = try Child.start(
                    "/bin/sh",
                    arguments: [
                        "sh", "-c", Self.launcher, kernel.string, directory.path.string,
                        processor.map { "\($0.number)" } ?? "",
                    ]
                        + directory.kernelArguments(machine, interactive: interactive),
                    environment: ["TMPDIR=\(directory.memory)", "PATH=/usr/bin:/bin"],
                    descriptors: channels.guestEnds)
                self.processor.withLock { $0 = processor }
            } catch {
                reaper.dismiss()
                throw error
            }
            self.reaper = reaper
        } catch {
            directory.remove()
            throw error
        }
        reaper.watch(child)
        self.machine = machine
        self.directory = directory
        start(channels, interactive: interactive)
    }

    /// Waits until the guest has run `vm-signal NAME`. Files it had written to /vm are there then.
    public func signal(
        _ name: String, within limit: Duration = .seconds(120)
    ) async throws(MachineError) {
        let board = board
        await withTaskGroup { group in
            group.addTask { await board.wait(for: name) }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
        if board.has(name) { return }
        if let outcome = board.outcome { throw .endedBeforeSignal(name, outcome) }
        throw .noSignal(name, within: limit)
    }

    /// Ends the machine at once, as a crash of its kernel does: what the disks had been given
    /// stays. Safe at any time, also when the machine has ended.
    public func kill() {
        end(as: .killed)
    }

    /// Waits for the machine's end.
    public func outcome() async -> Outcome {
        while true {
            await board.wait(for: nil)
            if let outcome = board.outcome { return outcome }
            // A cancelled task can't wait any more, but it must not make up an outcome either.
            kill()
            await Task.detached { [board] in await board.wait(for: nil) }.value
        }
    }

    private func start(_ channels: Channels, interactive: Bool) {
        let pending = Mutex(LineBuffer())
        relay(channels.control, in: relays) { [self] bytes in
            for line in pending.withLock({ $0.lines(completedBy: bytes) }) {
                ControlMessage(line: line).map(take)
            }
        }
        relay(channels.output, in: relays) { [self] in take($0, from: \.output, .standardOutput) }
        relay(channels.errorOutput, in: relays) { [self] in
            take($0, from: \.errorOutput, .standardError)
        }
        if interactive {
            // The end of our input is, on the guest's terminal, a Control-D.
            relay(.standardInput, in: DispatchGroup()) {
                forward($0.isEmpty ? [4] : $0, to: channels.input)
            }
        }
        after(machine.timeLimit) { $0.end(as: .timeLimit($0.machine.timeLimit)) }
        Thread.detachNewThread { [self] in
            let terminal = interactive ? Terminal.standardInput.makeRaw() : nil
            child.waitForEnd()
            conclude()
            if let terminal { Terminal.standardInput.restore(terminal) }
        }
    }

    private func after(_ time: Duration, _ action: @escaping @Sendable (RunningMachine) -> Void) {
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { [weak self] in
            self.map(action)
        }
    }

    private func take(
        _ bytes: [UInt8], from stream: any WritableKeyPath<State, [UInt8]> & Sendable,
        _ descriptor: FileDescriptor
    ) {
        switch machine.output {
        case .inherit: forward(bytes, to: descriptor)
        case .collect: state.withLock { $0[keyPath: stream] += bytes }
        }
    }

    private func take(_ message: ControlMessage) {
        switch message {
        case .started: state.withLock { $0.bootTime = ContinuousClock.now - started }
        case .signal(let name): board.post(signal: name)
        case .exited(let status): commandEnded(.exited(status))
        case .signaled(let number): commandEnded(.signaled(number))
        case .failed(let why): commandEnded(.failed(why))
        case .done: killGroup()
        }
    }

    private func commandEnded(_ end: Outcome.End) {
        state.withLock { $0.command = $0.command ?? end }
        after(Self.shutdownLimit) { running in
            let late = running.state.withLock { state in
                if !state.ended { state.shutdownLate = true }
                return !state.ended
            }
            if late { running.killGroup() }
        }
    }

    /// Kills the machine, and notes why if its command is still running.
    private func end(as reason: Outcome.End) {
        state.withLock { if $0.command == nil, $0.killed == nil { $0.killed = reason } }
        killGroup()
    }

    /// Under the lock, because the process group may be somebody else's once it has been reaped.
    private func killGroup() {
        state.withLock { if !$0.ended { child.killGroup() } }
    }

    /// The process has ended: collects what is left of it and puts up the outcome.
    private func conclude() {
        let status = state.withLock { state in
            state.ended = true
            return child.reap()
        }
        processor.withLock { $0 = nil }
        // The channels end with the last process that has them.
        _ = relays.wait(timeout: .now() + 10)
        let log = KernelLog(text: contents(of: directory.console))
        let outcome = state.withLock { makeOutcome($0, log, status) }
        write(log)
        directory.remove()
        reaper.dismiss()
        board.post(outcome)
    }

    private func makeOutcome(_ state: State, _ log: KernelLog, _ status: Int32) -> Outcome {
        var findings = log.findings(ignoring: machine.ignoring)
        if state.shutdownLate {
            let line = "the guest had not shut down \(Self.shutdownLimit) after its command"
            findings.append(KernelFinding(kind: .blocked, line: line))
        }
        let poweredOff = log.text.contains("reboot: ")
        let end =
            state.command ?? state.killed
            ?? (poweredOff ? .poweredOff : .failed("its kernel ended (wait status \(status))"))
        return Outcome(
            end: end, findings: findings, kernelLog: log, output: state.output,
            errorOutput: state.errorOutput, bootTime: state.bootTime,
            duration: ContinuousClock.now - started)
    }

    private func contents(of path: FilePath) -> String {
        let bytes = FileManager.default.contents(atPath: path.string) ?? Data()
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(_ log: KernelLog) {
        let inShare = machine.share == nil ? nil : directory.share.appending("kernel.log")
        guard let path = machine.kernelLogFile ?? inShare else { return }
        try? Data(log.text.utf8).write(to: URL(fileURLWithPath: path.string))
    }
}

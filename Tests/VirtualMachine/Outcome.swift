/// How a run of the machine ended.
public struct Outcome: Sendable, Hashable {
    /// What ended it.
    public enum End: Sendable, Hashable {
        /// The command ended with this status.
        case exited(Int32)
        /// The command was killed by this signal, in the guest.
        case signaled(Int32)
        /// The host killed the machine, as a crash.
        case killed
        /// The machine was still running after the time limit.
        case timeLimit(Duration)
        /// The guest was powered off, or rebooted, while the command was running.
        case poweredOff
        /// The kernel died, or the guest could not start; the text says more.
        case failed(String)
    }

    /// The exit status of a run that the kernel failed.
    public static let kernelFailure: Int32 = 99
    /// The exit status of a run that met its time limit.
    public static let timeLimitReached: Int32 = 124

    /// What ended the run.
    public var end: End
    /// What the kernel's log says against the run.
    public var findings: [KernelFinding]
    /// The guest's kernel log.
    public var kernelLog: KernelLog
    /// The command's standard output, if it was collected.
    public var output: [UInt8]
    /// The command's standard error, if it was collected.
    public var errorOutput: [UInt8]
    /// The time from the start to the start of the command; `nil` if it didn't come to that.
    public var bootTime: Duration?
    /// The time from the start to the end of the machine.
    public var duration: Duration

    /// The collected standard output as text.
    public var outputText: String { String(decoding: output, as: UTF8.self) }

    /// The collected standard error as text.
    public var errorText: String { String(decoding: errorOutput, as: UTF8.self) }

    /// Whether the command succeeded and the kernel has nothing to say against it.
    public var succeeded: Bool { end == .exited(0) && findings.isEmpty }

    /// The exit status for a process that stands for the run: the command's own, 128 and the number
    /// of its signal, 137 for a killed machine, or one of the two above.
    public var exitStatus: Int32 {
        switch end {
        case .timeLimit: Self.timeLimitReached
        case .failed, .poweredOff: Self.kernelFailure
        case _ where !findings.isEmpty: Self.kernelFailure
        case .exited(let status): status
        case .signaled(let signal): 128 + signal
        case .killed: 137
        }
    }

    /// What a person must know who sees the run fail: the end, the findings, what was collected of
    /// the standard error, and the last lines of the log where they tell more.
    public var summary: String {
        var lines = [endDescription]
        if !findings.isEmpty {
            lines.append("the kernel log fails the run:")
            lines += findings.prefix(20).map { "  " + $0.line }
        }
        if !errorOutput.isEmpty {
            lines.append("the last lines of its standard error:")
            lines += errorText.split(separator: "\n").suffix(20).map { "  " + $0 }
        }
        switch end {
        case .timeLimit, .failed, .poweredOff:
            lines.append("the last lines of the kernel log:")
            lines += kernelLog.tail(40).split(separator: "\n").map { "  " + $0 }
        case .exited, .signaled, .killed: break
        }
        return lines.joined(separator: "\n")
    }

    private var endDescription: String {
        switch end {
        case .exited(let status): "the command ended with status \(status)"
        case .signaled(let signal): "the command was killed by signal \(signal)"
        case .killed: "the machine was killed"
        case .timeLimit(let limit): "the machine was still running after \(limit) and was killed"
        case .poweredOff: "the guest powered off before the command ended"
        case .failed(let why): "the machine failed: \(why)"
        }
    }
}

public import SystemPackage

/// Why a machine could not be booted, or did not do what was waited for.
public enum MachineError: Error, Sendable, Hashable {
    /// A part of the Debian package `user-mode-linux` is missing.
    case notInstalled(String)
    /// The description of the machine can't be met; the text says why.
    case invalid(String)
    /// A system call of the host failed, for that path or purpose.
    case system(Errno, String)
    /// The machine ended before it gave the signal.
    case endedBeforeSignal(String, Outcome)
    /// The signal did not come in time. The machine goes on.
    case noSignal(String, within: Duration)
}

extension MachineError: CustomStringConvertible {
    /// What went wrong, and what to do about it.
    public var description: String {
        switch self {
        case .notInstalled(let what):
            "\(what) is missing. The tests for a real kernel boot User-Mode Linux; install it with "
                + "`apt-get install user-mode-linux`."
        case .invalid(let why): why
        case .system(let errno, let what): "\(what): \(errno)"
        case .endedBeforeSignal(let name, let outcome):
            "the machine ended before the signal \(name): \(outcome.summary)"
        case .noSignal(let name, let limit): "no signal \(name) within \(limit)"
        }
    }
}

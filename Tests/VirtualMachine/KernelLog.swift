/// The kernel log of one run, and what in it makes the run a failure.
public struct KernelLog: Sendable, Hashable {
    /// The whole text, as the kernel wrote it to its console.
    public var text: String

    /// A log from its text.
    public init(text: String) {
        self.text = text
    }

    /// The last lines of the log.
    public func tail(_ count: Int = 20) -> String {
        text.split(whereSeparator: \.isNewline).suffix(count).joined(separator: "\n")
    }

    /// The lines that fail a run, whatever status its command gave.
    ///
    /// - Parameter ignoring: lines that contain one of these are expected by the caller.
    public func findings(ignoring: [String] = []) -> [KernelFinding] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let message = Self.message(of: line)
            guard let kind = KernelFinding.Kind(message: message),
                !ignoring.contains(where: { line.contains($0) })
            else { return nil }
            return KernelFinding(kind: kind, line: String(line))
        }
    }

    /// A line without the time stamp, and without `rcu: ` and the like before an `INFO:`.
    private static func message(of line: Substring) -> Substring {
        var rest = line
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop(while: \.isWhitespace)
        }
        for prefix in ["vm: ", "rcu: "] where rest.hasPrefix(prefix) && rest.contains("INFO: ") {
            rest = rest.dropFirst(prefix.count)
        }
        return rest
    }
}

/// One line of a kernel log that fails a run.
public struct KernelFinding: Sendable, Hashable {
    /// What the line tells.
    public enum Kind: Sendable, Hashable, CaseIterable {
        /// An oops, a BUG, a panic: the kernel met what it can't go on from.
        case oops
        /// A WARN of the kernel.
        case warning
        /// The lock validator, or a stall that only a lock explains.
        case locking
        /// A task, or the end of the machine, was blocked for long.
        case blocked
        /// A device-mapper device was suspended for long, or left so at the end.
        case suspended
    }

    /// What the line tells.
    public var kind: Kind
    /// The line, time stamp included.
    public var line: String

    /// A finding of that kind.
    public init(kind: Kind, line: String) {
        self.kind = kind
        self.line = line
    }
}

extension KernelFinding.Kind {
    /// What begins a message of this kind.
    private var beginnings: [String] {
        switch self {
        // "WARNING: possible circular locking" and the like come before the other WARNINGs.
        case .locking:
            [
                "WARNING: possible ", "WARNING: inconsistent lock", "WARNING: bad unlock",
                "WARNING: suspicious RCU", "INFO: possible ", "INFO: inconsistent lock",
                "INFO: rcu", "INFO: suspicious RCU",
            ]
        case .oops:
            [
                "BUG:", "kernel BUG at", "Oops", "Kernel panic", "Unable to handle kernel",
                "general protection fault", "Kernel mode fault", "Segfault with no mm",
                "KASAN:", "UBSAN:", "list_add corruption", "list_del corruption",
            ]
        case .warning: ["WARNING:"]
        case .blocked: ["INFO: task "]
        case .suspended: []
        }
    }

    /// What a message of this kind contains.
    private var parts: [String] {
        switch self {
        case .blocked: ["blocked for more than"]
        case .locking: ["detected stall", "self-detected stall"]
        case .suspended: ["was suspended for more than", "was left suspended"]
        case .oops, .warning: []
        }
    }

    fileprivate init?(message: Substring) {
        let order: [Self] = [.locking, .oops, .warning, .suspended, .blocked]
        let found = order.first { kind in
            kind.beginnings.contains { message.hasPrefix($0) }
                || kind.parts.contains { message.contains($0) }
        }
        guard let found else { return nil }
        self = found
    }
}

/// A line that the guest writes to its control channel.
enum ControlMessage: Equatable {
    case started
    case exited(Int32)
    case signaled(Int32)
    /// A test's own signal, by `vm-signal` in the guest.
    case signal(String)
    /// Everything has been written; the machine may be ended at any instant.
    case done
    case failed(String)

    init?(line: Substring) {
        let words = line.split(separator: " ", maxSplits: 1)
        let rest = words.count > 1 ? words[1] : ""
        switch (words.first, Int32(rest)) {
        case ("started", _): self = .started
        case ("exited", let status?): self = .exited(status)
        case ("signaled", let signal?): self = .signaled(signal)
        case ("signal", _): self = .signal(String(rest))
        case ("done", _): self = .done
        case ("failed", _): self = .failed(String(rest))
        default: return nil
        }
    }
}

/// Puts lines together out of the pieces a pipe delivers.
struct LineBuffer {
    private var pending: [UInt8] = []

    /// The lines that `bytes` complete, without their ends.
    mutating func lines(completedBy bytes: [UInt8]) -> [Substring] {
        pending += bytes
        guard let last = pending.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let text = String(decoding: pending[...last], as: UTF8.self)
        pending.removeFirst(last + 1)
        // A tty that nobody has made raw yet ends its lines with CR LF, one Character in Swift.
        return text.split(whereSeparator: \.isNewline)
    }
}

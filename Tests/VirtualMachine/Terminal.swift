import Glibc
import SystemPackage

/// The terminal of this process.
struct Terminal: Sendable {
    static let standardInput = Terminal(descriptor: .standardInput)

    let descriptor: FileDescriptor

    /// Rows and columns, separated by a blank; 24 and 80 without a terminal.
    var size: String {
        var size = winsize()
        guard unsafe ioctl(descriptor.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0
        else { return "24 80" }
        return "\(size.ws_row) \(size.ws_col)"
    }

    /// Hands every key to the guest, whose own terminal interprets it.
    ///
    /// - Returns: the state to restore; `nil` if this is no terminal.
    func makeRaw() -> termios? {
        var state = termios()
        guard unsafe tcgetattr(descriptor.rawValue, &state) == 0 else { return nil }
        var raw = state
        unsafe cfmakeraw(&raw)
        unsafe tcsetattr(descriptor.rawValue, TCSANOW, &raw)
        return state
    }

    /// Puts a state back.
    func restore(_ state: termios) {
        var state = state
        unsafe tcsetattr(descriptor.rawValue, TCSANOW, &state)
    }
}

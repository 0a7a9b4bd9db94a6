internal import CLinux

/// This program in two processes: whoever started it waits for the first, which ends as the second one does,
/// or as soon as that says that it stays.
public struct BackgroundProcess: Sendable {
    private let descriptor: Int32

    /// Forks; only the second process returns. With the first it is killed until it stays, and signals to the
    /// first go on to it.
    ///
    /// To be called while the program has one thread alone.
    ///
    /// - Throws: of fork(2).
    public init() throws(SystemError) {
        descriptor = try systemCall("fork", "dmsnap") { clinux_background() }
    }

    /// Ends the first process with 0, and leaves its terminal and directory.
    public func stay() throws(SystemError) {
        try systemCall("stay", "/dev/null") { clinux_background_stay(descriptor) }
    }
}

import Block
import SystemPackage

/// Locks of ours that somebody else holds: waited for, but not without a word, and not for ever.
extension Registry {
    /// How long whoever wants a lock waits for it.
    static let patience: Duration = .seconds(120)

    /// Runs `body` while nobody else holds the lock.
    ///
    /// - Parameters:
    ///   - path: of a lock in `/run/dmsnap`, which root alone can take.
    ///   - device: what is worked on, for the messages.
    /// - Throws: `busy` if it is still held after a while.
    func holding<Result>(
        _ path: FilePath, for device: @autoclosure () -> String, _ body: () throws -> Result
    ) throws -> Result {
        let taken = try FileLock.take(path, patience: Self.patience) {
            notice("\(device()): waiting for \(Self.holder(of: path))")
        }
        guard let taken else {
            throw SessionsError.busy(
                device: device(), reason: "\(Self.holder(of: path)) works on it, for long already",
                advice: "wait for its end, or end it")
        }
        return try taken.holding(body)
    }

    private static func holder(of path: FilePath) -> String {
        FileLock.holder(of: path).map { "\($0.command) (process \($0.pid))" }
            ?? "another dmsnap command"
    }
}

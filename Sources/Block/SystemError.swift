internal import Glibc
public import SystemPackage

/// A system call that failed: what was tried, on what, and the kernel's answer.
public struct SystemError: Error, Hashable, CustomStringConvertible, Sendable {
    /// The call's name, as in its manual page: `open`, `LOOP_CONFIGURE`.
    public let operation: String
    /// The file or device it was made on.
    public let path: String
    /// The kernel's answer.
    public let errno: Errno
    /// What is wrong and what to do, where it was refused here and no call was made.
    public let refusal: String?

    /// A failure of `operation` on `path`.
    public init(operation: String, path: String, errno: Errno, refusal: String? = nil) {
        self.operation = operation
        self.path = path
        self.errno = errno
        self.refusal = refusal
    }

    /// For people: the path, the call, the reason.
    public var description: String {
        refusal.map { "\(path): \($0)" } ?? "\(path): \(operation): \(errno)"
    }
}

/// Makes a call that returns −1 and sets `errno` when it fails, again if a signal interrupted it.
@discardableResult
func systemCall<Result: SignedInteger>(
    _ operation: String, _ path: String, _ call: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = call()
        if result != -1 { return result }
        let code = Errno(rawValue: errno)
        if code != .interrupted {
            throw SystemError(operation: operation, path: path, errno: code)
        }
    }
}

/// Turns the `Errno` that swift-system throws into ours.
func systemCall<Result: ~Copyable>(
    _ operation: String, _ path: FilePath, _ call: () throws -> Result
) throws(SystemError) -> Result {
    do {
        return try call()
    } catch {
        let code = error as? Errno ?? .ioError
        throw SystemError(operation: operation, path: path.string, errno: code)
    }
}

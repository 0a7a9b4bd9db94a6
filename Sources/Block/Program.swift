internal import CLinux
internal import Glibc
internal import SystemPackage

/// Another program, waited for. No descriptor of ours but the first three is its own.
public enum Program {
    /// - Parameters:
    ///   - command: the path of the program first.
    ///   - isSilent: whether it has neither our terminal nor anything else to read or write.
    /// - Returns: its exit status; 128 + N for a signal.
    public static func run(
        _ command: [String], isSilent: Bool = false
    ) throws(SystemError) -> Int32 {
        var words = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        let status =
            isSilent
            ? unsafe clinux_run(command[0], &words)
            : unsafe clinux_run_visibly(command[0], &words)
        guard status >= 0 else {
            throw SystemError(
                operation: "spawn", path: command[0], errno: Errno(rawValue: errno))
        }
        return status
    }
}

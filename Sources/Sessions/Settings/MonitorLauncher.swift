import Block
import CLinux
import Glibc
internal import SystemPackage

/// Starts `dmsnap monitor` where it isn't running.
public enum MonitorLauncher {
    /// The unit that runs it under systemd.
    static let unit = "dmsnap-monitor.service"
    /// The one that runs the command for archives.
    static let afterUnit = "dmsnap-after-archive.service"

    /// Returns when the monitor is running and has looked at every activated device once.
    ///
    /// - Throws: `internalFault` with the reason if it can't be started.
    public static func ensureRunning(_ layout: Layout) throws(SessionsError) {
        if Files.exists("/run/systemd/system") {
            // One that is just about to end, since nothing was activated, still counts as started.
            for _ in 0..<50 {
                guard run(["systemctl", "--quiet", "start", unit]) == 0 else { break }
                if try isRunning(layout) { return }
                usleep(100_000)
            }
            throw .monitor("systemd did not start \(unit); see `systemctl status \(unit)`")
        }
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            if try !isRunning(layout) { try spawn(layout) }
        }
    }

    /// Begins to run the command for archives, beside the monitor, which has no network under systemd.
    ///
    /// - Throws: `internalFault` or `system` with the reason if it can't be started.
    public static func beginAftercare(_ layout: Layout) throws(SessionsError) {
        if Files.exists("/run/systemd/system") {
            guard run(["systemctl", "--quiet", "--no-block", "start", afterUnit]) == 0 else {
                throw .monitor(
                    "systemd did not start \(afterUnit); see `systemctl status \(afterUnit)`")
            }
            return
        }
        try asSessionsError {
            let program = try requireExecutable()
            let result = unsafe withArguments([program, "after-archive"]) {
                unsafe clinux_spawn_detached(program, $0, layout.monitorLog.string, -1)
            }
            guard result == 0 else {
                throw SystemError(
                    operation: "spawn", path: program, errno: Errno(rawValue: errno))
            }
        }
    }

    /// Whether a monitor holds its lock.
    public static func isRunning(_ layout: Layout) throws(SessionsError) -> Bool {
        do {
            guard let free = try FileLock.takeIfFree(layout.monitorLock) else { return true }
            free.release()
            return false
        } catch {
            throw .system(error)
        }
    }

    private static func run(_ command: [String]) -> Int32 {
        let path = ["/usr/bin/", "/bin/"].map { $0 + command[0] }.first {
            Files.exists(FilePath($0))
        }
        guard let path else { return -1 }
        return unsafe withArguments(command) { unsafe clinux_run(path, $0) }
    }

    private static func spawn(_ layout: Layout) throws {
        let executable = try requireExecutable()
        var ends: [CInt] = [-1, -1]
        guard unsafe clinux_pipe(&ends) == 0 else {
            throw SystemError(operation: "pipe", path: executable, errno: Errno(rawValue: errno))
        }
        let reading = FileDescriptor(rawValue: ends[0])
        let writing = FileDescriptor(rawValue: ends[1])
        defer { try? reading.close() }
        let result = unsafe withArguments([executable, "monitor", "--ready-descriptor", "3"]) {
            unsafe clinux_spawn_detached(
                executable, $0, layout.monitorLog.string, writing.rawValue)
        }
        let code = Errno(rawValue: errno)
        try writing.close()
        guard result == 0 else {
            throw SystemError(operation: "spawn", path: executable, errno: code)
        }
        // One byte when it is ready; the end of the file if it died before.
        var byte = [UInt8](repeating: 0, count: 1)
        let count = try unsafe byte.withUnsafeMutableBytes {
            try unsafe reading.read(into: $0)
        }
        // It ends at once also where another one, started at the same moment, was quicker.
        guard try count == 1 || isRunning(layout) else {
            throw SessionsError.monitor("it ended at once; see \(layout.monitorLog)")
        }
    }

    private static func requireExecutable() throws(SessionsError) -> String {
        guard let executable = executable() else {
            throw .monitor("no dmsnap program in /usr/sbin or /usr/local/sbin")
        }
        return executable
    }

    /// This very program if it is dmsnap; for the C library the installed one.
    private static func executable() -> String? {
        if let own = try? Files.resolve("/proc/self/exe"), own.lastComponent?.string == "dmsnap" {
            return own.string
        }
        return ["/usr/sbin/dmsnap", "/usr/local/sbin/dmsnap"].first {
            Files.exists(FilePath($0))
        }
    }

    private static func withArguments<Result>(
        _ arguments: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = unsafe arguments.map { unsafe strdup($0) }
        defer { unsafe copies.forEach { unsafe free($0) } }
        return unsafe body(copies + [nil])
    }
}

import Foundation
import SystemPackage

/// A child process, with exactly the descriptors that it is given, numbered from 0.
struct Child: Sendable {
    /// Its process id, and that of its process group.
    let pid: pid_t

    /// Starts a process as the leader of a group of its own: that group can be killed as a whole,
    /// and what the terminal sends to ours (SIGINT) doesn't reach it.
    static func start(
        _ executable: String, arguments: [String], environment: [String],
        descriptors: [FileDescriptor]
    ) throws(MachineError) -> Child {
        // A descriptor that is the source of one duplication must not be the target of an earlier.
        var sources: [Int32] = []
        defer { for source in sources { close(source) } }
        for descriptor in descriptors {
            let source = fcntl(descriptor.rawValue, F_DUPFD_CLOEXEC, 64)
            guard source >= 0 else { throw .system(Errno(rawValue: errno), "fcntl") }
            sources.append(source)
        }

        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (target, source) in sources.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, source, Int32(target))
        }

        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        // What this process ignores or blocks is no business of the child's.
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)

        var pid: pid_t = 0
        let failure = unsafe withCStrings(arguments) { argv in
            unsafe withCStrings(environment) { envp in
                unsafe posix_spawn(&pid, executable, &actions, &attributes, argv, envp)
            }
        }
        guard failure == 0 else { throw .system(Errno(rawValue: failure), executable) }
        return Child(pid: pid)
    }

    /// Waits for the end of the process, and leaves it as a zombie, so that its id, and that of its
    /// group, stay its own until `reap`.
    func waitForEnd() {
        var info = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
    }

    /// Kills the whole group.
    func killGroup() {
        kill(-pid, SIGKILL)
    }

    /// Takes the status of the ended process, after everything else in its group has ended, too.
    func reap() -> Int32 {
        killGroup()
        // Two seconds at most; a killed process may still have memory to give back.
        for _ in 0..<40 where groupIsAlive { usleep(50_000) }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status
    }

    /// Whether any process of the group is more than a zombie. (Those that the machine leaves are
    /// for the system's first process to reap, which may take its time.)
    private var groupIsAlive: Bool {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.contains { name in
            guard Int32(name) != nil,
                let stat = FileManager.default.contents(atPath: "/proc/\(name)/stat")
            else { return false }
            // "PID (NAME) STATE PARENT GROUP …", and the name may contain anything.
            let fields =
                String(decoding: stat, as: UTF8.self)
                .split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > 2 && fields[0] != "Z" && fields[0] != "X"
                && fields[2] == "\(pid)"
        }
    }
}

/// Calls `body` with a NULL-terminated array of C strings, valid during the call.
private func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    let pointers = unsafe strings.map { unsafe strdup($0) }
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe body(pointers + [nil])
}

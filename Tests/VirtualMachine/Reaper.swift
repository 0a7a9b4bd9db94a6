import SystemPackage

/// A small process that outlives ours, and cleans up behind it if we should die without a word: at
/// the end of its input it kills the machine's process group and removes its directories.
///
/// That covers what no handler can: a SIGKILL, a crash of the test that booted the machine.
struct Reaper: Sendable {
    private let process: Child
    private let lifeline: FileDescriptor

    /// A Ctrl-C doesn't reach its process group; the traps are for those who kill by name.
    private static let script = """
        trap '' HUP INT TERM
        group=
        while read -r word; do
            [ "$word" != done ] || exit 0
            group=$word
        done
        if [ -n "$group" ]; then
            kill -s KILL -- "-$group"
            # One that is dying can still make a file.
            sleep 0.5
        fi
        rm -rf -- "$@"
        """

    /// Starts the process that watches over these directories.
    init(directories: [FilePath]) throws(MachineError) {
        let pipe = try Pipe()
        let null = try openFile("/dev/null", .readWrite)
        defer {
            try? pipe.reading.close()
            try? null.close()
        }
        process = try Child.start(
            "/bin/sh", arguments: ["sh", "-c", Self.script, "reaper"] + directories.map(\.string),
            environment: ["PATH=/usr/bin:/bin"],
            descriptors: [pipe.reading, null, null])
        lifeline = pipe.writing
    }

    /// Puts the process group of the machine under watch, too.
    func watch(_ machine: Child) {
        _ = try? lifeline.writeAll("\(machine.pid)\n".utf8)
    }

    /// Sends the process away: everything has been cleaned up, or there was nothing to do.
    func dismiss() {
        _ = try? lifeline.writeAll("done\n".utf8)
        try? lifeline.close()
        process.waitForEnd()
        _ = process.reap()
    }
}

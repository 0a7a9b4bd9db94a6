/// What the guest runs, as root.
public enum Command: Sendable, Hashable {
    /// A program, looked for in the guest's `PATH`, and its arguments.
    case arguments([String])
    /// The text of a script: run by what its `#!` line names, without one by `bash -e`, so that the
    /// first command to fail is the script's end.
    case script(String)
    /// A shell on the terminal of the host's process.
    case shell
}

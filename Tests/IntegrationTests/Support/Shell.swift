import Glibc
import Subprocess
import SystemPackage

/// What a program printed and how it ended.
struct Output {
    let status: Int32
    let out: String
    let err: String
}

/// A program that should have succeeded did not.
struct CommandFailure: Error, CustomStringConvertible {
    let command: String
    let output: Output

    var description: String {
        "`\(command)` ended with \(output.status)\n\(output.out)\n\(output.err)"
    }
}

/// Runs a program with these arguments, whatever its exit status; 128 + N for a signal.
func run(
    _ program: String, _ arguments: [String], environment: [String: String] = [:]
) async throws -> Output {
    var changes: [Environment.Key: String?] = [:]
    for (key, value) in environment {
        if let key = Environment.Key(rawValue: key) { changes[key] = value }
    }
    let result = try await Subprocess.run(
        .path(path(of: program)),
        arguments: Arguments(arguments), environment: .inherit.updating(changes),
        output: .string(limit: 64 << 20), error: .string(limit: 1 << 20))
    let status: Int32 =
        switch result.terminationStatus {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    return Output(
        status: status, out: result.standardOutput, err: result.standardError)
}

/// Where a program is. Looked for once here: else a process is started for each directory of PATH.
private func path(of program: String) throws -> FilePath {
    if program.hasPrefix("/") { return FilePath(program) }
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
    let places = path.split(separator: ":")
    for place in places {
        let file = FilePath(String(place)).appending(program)
        if unsafe access(file.string, X_OK) == 0 { return file }
    }
    throw Errno.noSuchFileOrDirectory
}

/// Runs a shell script that must succeed, and gives its output without the last newline.
@discardableResult
func sh(_ script: String) async throws -> String {
    let output = try await run("/bin/sh", ["-euc", script])
    guard output.status == 0 else { throw CommandFailure(command: script, output: output) }
    return output.out.hasSuffix("\n") ? String(output.out.dropLast()) : output.out
}

/// A script that fails unless both files, or devices, hold the same. cmp(1) reads 4 KiB at a time, which takes ten
/// times as long in User-Mode Linux.
func same(_ one: String, _ other: String) -> String {
    "{ one=$(xxh128sum < \(one)); other=$(xxh128sum < \(other)); [ \"$one\" = \"$other\" ]; }"
}

/// A word for the shell, whatever is in it.
func quoted(_ word: String) -> String {
    "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
        + "'"
}

/// Asks again until the answer is yes, and fails if that takes longer than `seconds`.
func eventually(
    _ what: String, within seconds: Int = 60, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Timeout(what: what, seconds: seconds) }
        try await Task.sleep(for: .milliseconds(50))
    }
}

struct Timeout: Error, CustomStringConvertible {
    let what: String
    let seconds: Int

    var description: String { "not within \(seconds) s: \(what)" }
}

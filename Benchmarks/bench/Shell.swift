import Subprocess
import SystemPackage

struct CommandFailure: Error, CustomStringConvertible {
    let description: String
}

/// Runs a shell script that must succeed, and gives what it printed, without the last newline.
@discardableResult
func sh(_ script: String) async throws -> String {
    let result = try await Subprocess.run(
        .path("/bin/sh"), arguments: ["-euc", script], output: .string(limit: 64 << 20),
        error: .string(limit: 1 << 20))
    guard case .exited(0) = result.terminationStatus else {
        throw CommandFailure(description: "\(script): \(result.standardError)")
    }
    let text = result.standardOutput
    return text.hasSuffix("\n") ? String(text.dropLast()) : text
}

/// How long the script takes, in seconds; `before` is not counted.
func time(_ script: String, before: String = "true") async throws -> Double {
    try await sh(before)
    return try await timed { try await sh(script) }
}

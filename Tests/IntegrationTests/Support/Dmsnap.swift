import FoundationEssentials
import Testing

/// A session that a test means.
protocol NamedSession {
    var name: String { get }
    /// Its directory's path.
    var directory: String { get }
}

/// A session whose directory a test has seen, and of which nothing was asked of the program yet.
struct MadeSession: NamedSession, Equatable {
    let name, directory: String
}

/// The installed `dmsnap`, as a user calls it.
enum Dmsnap {
    static let program = "/usr/sbin/dmsnap"
    static let password = "correct horse battery staple"
    static let passfile = "/root/dmsnap-test-password"

    /// What `status --json` prints of a device.
    struct Device: Decodable, Equatable {
        let device: String
        let name: String
        let path: String
        let state: String
        let kind: String
        let session: String?
        let chunkSize: UInt64
        let storeUsedBytes: UInt64?
        let storeLimitBytes: UInt64?
        let captured: Bool
        let warning: String?
        let archiving: Archiving?

        struct Archiving: Decodable, Equatable {
            let session: String
            let phase: String
            let bytesDone: UInt64
            let bytesTotal: UInt64
        }
    }

    /// What `sessions --json` prints of a session.
    struct Session: NamedSession, Decodable, Equatable {
        let name: String
        let directory: String
        let device: String
        let state: String
        let openedAt: Date
        let closedAt: Date?
        let chunkSize: UInt64
        let chunks: UInt64?
        let bytes: UInt64?
        let storedBytes: UInt64
        let complete: Bool
        let label: String?
    }

    static func call(_ arguments: [String]) async throws -> Output {
        try await run(program, arguments)
    }

    /// Calls it and expects success.
    @discardableResult
    static func must(_ arguments: [String]) async throws -> String {
        let output = try await call(arguments)
        guard output.status == 0 else {
            throw CommandFailure(
                command: "dmsnap " + arguments.joined(separator: " "), output: output)
        }
        return output.out
    }

    static func status() async throws -> [Device] {
        try await decode(["status", "--json"])
    }

    static func sessions(of device: String) async throws -> [Session] {
        try await decode(["sessions", device, "--json"])
    }

    private static func decode<Value: Decodable>(_ arguments: [String]) async throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try await decoder.decode(Value.self, from: Data(must(arguments).utf8))
    }

    /// Expects this exit status, and each of `words` in the one message on standard error.
    static func refuses(
        _ arguments: [String], status: Int32, saying words: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let output = try await call(arguments)
        #expect(output.status == status, "\(output.err)", sourceLocation: sourceLocation)
        for word in words {
            #expect(output.err.contains(word), sourceLocation: sourceLocation)
        }
        #expect(output.out.isEmpty, sourceLocation: sourceLocation)
    }
}

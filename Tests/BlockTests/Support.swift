import Foundation
import Glibc
import Subprocess
import SystemPackage
import Testing

@testable import Block

/// A directory of the test's own, removed with all that is in it.
final class TemporaryDirectory {
    let path: FilePath

    init() throws {
        let name = "dmsnap-test-\(UUID().uuidString)"
        let path = try Files.resolve(FilePath(NSTemporaryDirectory())).appending(name)
        try Files.makeDirectory(path)
        self.path = path
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path.string)
    }

    func file(_ name: String) -> FilePath { path.appending(name) }

    /// A file of `size` bytes, all of it a hole.
    func image(_ name: String, size: UInt64) throws -> FilePath {
        try OwnedDescriptor.create(file(name)).resize(to: ByteCount(size))
        return file(name)
    }

    func file(_ name: String, holding text: String) throws -> FilePath {
        try OwnedDescriptor.create(file(name)).write(Array(text.utf8), at: 0)
        return file(name)
    }
}

/// Runs a tool and fails with what it said unless it succeeds: a tool that isn't there is no reason
/// to pass.
func run(_ tool: String, _ arguments: String...) async throws {
    try await run(tool, arguments)
}

func run(_ tool: String, _ arguments: [String]) async throws {
    let result = try await Subprocess.run(
        .name(tool), arguments: Arguments(arguments), environment: .withTools,
        output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
    guard result.terminationStatus.isSuccess else {
        let said = result.standardOutput + result.standardError
        Issue.record("\(tool) \(arguments): \(result.terminationStatus): \(said)")
        throw Errno.ioError
    }
}

extension Environment {
    /// With the directories of mkfs(8) and its like, which not everybody's PATH has.
    static let withTools = Environment.inherit.updating(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
}

/// Looks again until it is so, for at most ten seconds.
func eventually(_ condition: () throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < end {
        if try condition() { return true }
        try await Task.sleep(for: .milliseconds(10))
    }
    return try condition()
}

/// Runs what blocks on a thread of its own: Swift's tasks share as many as there are processors, and on
/// a machine with one nothing else would go on.
func onThread<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        let thread = WorkerThread.start {
            continuation.resume(with: Swift.Result { try body() })
        }
        if thread == nil { continuation.resume(throwing: Errno.resourceTemporarilyUnavailable) }
    }
}

func text(_ path: FilePath) throws -> String {
    String(decoding: try Files.read(path), as: UTF8.self)
}

// MARK: what only C can make

private func check(_ operation: String, _ path: FilePath, _ result: CInt) throws {
    if result != 0 {
        throw SystemError(operation: operation, path: path.string, errno: Errno(rawValue: errno))
    }
}

func symbolicLink(_ path: FilePath, to target: String) throws {
    try check("symlink", path, unsafe symlink(target, path.string))
}

func hardLink(_ path: FilePath, to target: FilePath) throws {
    try check("link", path, unsafe link(target.string, path.string))
}

func makePipe(_ path: FilePath) throws {
    try check("mkfifo", path, unsafe mkfifo(path.string, 0o600))
}

func setMode(_ path: FilePath, _ mode: mode_t) throws {
    try check("chmod", path, unsafe chmod(path.string, mode))
}

/// The loop devices over a file.
func attached(to status: FileStatus) -> [LoopDevice] {
    LoopDevice.attached(toInode: status.inode, fileSystem: status.fileSystem)
}

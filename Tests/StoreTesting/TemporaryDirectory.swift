internal import Foundation
internal import Glibc
public import SystemPackage

/// A directory for one test's files, removed with the last reference to it.
public final class TemporaryDirectory: Sendable {
    /// Where it is.
    public let path: FilePath

    /// Makes an empty directory.
    public init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        path = FilePath(url.path)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path.string)
    }

    /// Makes a file with these contents, or gives an existing one these contents.
    public func file(_ name: String, _ bytes: [UInt8]) throws -> FilePath {
        let file = path.appending(name)
        try Data(bytes).write(to: URL(fileURLWithPath: file.string))
        return file
    }

    /// Makes a file that begins with these bytes and is a hole from there to `size`.
    public func sparseFile(_ name: String, _ bytes: [UInt8], size: Int64) throws -> FilePath {
        let file = try file(name, bytes)
        try Self.resize(file, to: size)
        return file
    }

    /// Makes a FIFO that nobody has open.
    public func fifo(_ name: String) throws -> FilePath {
        let file = path.appending(name)
        let result = unsafe file.withPlatformString { unsafe mkfifo($0, 0o600) }
        if result != 0 { throw Errno(rawValue: errno) }
        return file
    }

    /// Makes a file shorter or longer.
    public static func resize(_ file: FilePath, to size: Int64) throws {
        let descriptor = try FileDescriptor.open(file, .writeOnly)
        try descriptor.closeAfter { try descriptor.resize(to: size) }
    }

    /// Overwrites bytes of a file.
    public static func patch(_ file: FilePath, at offset: Int64, _ bytes: [UInt8]) throws {
        let descriptor = try FileDescriptor.open(file, .writeOnly)
        _ = try descriptor.closeAfter { try descriptor.writeAll(toAbsoluteOffset: offset, bytes) }
    }

    /// Makes a hole of these bytes of a file; whole pages, or they are only zeroed.
    public static func punch(_ file: FilePath, _ bytes: Range<Int>) throws {
        let process = try Process.run(
            URL(fileURLWithPath: "/usr/bin/fallocate"),
            arguments: [
                "--punch-hole", "--offset", "\(bytes.lowerBound)", "--length", "\(bytes.count)",
                file.string,
            ])
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw Errno.notSupported }
    }

    /// A file's contents.
    public static func contents(_ file: FilePath) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: file.string)))
    }
}

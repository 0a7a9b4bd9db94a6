import Glibc
import Synchronization
import SystemPackage

/// A file in memory that gets one input after another.
struct ScratchFile: Sendable {
    /// The file.
    let path: FilePath
    private let descriptor: FileDescriptor

    private static let made = Mutex<[FilePath]>([])

    /// Makes an empty file, removed when the program ends.
    ///
    /// - Parameter name: to be told from the others of this process.
    init(_ name: String) {
        path = FilePath("/dev/shm/dmsnap-hostile-\(getpid())-\(name)")
        do {
            descriptor = try FileDescriptor.open(
                path, .readWrite, options: [.create, .truncate, .closeOnExec],
                permissions: .ownerReadWrite)
        } catch {
            fatalError("\(path): \(error)")
        }
        Self.made.withLock { made in
            // The fuzzer leaves by exit(), and no deinitializer runs.
            if made.isEmpty { atexit { ScratchFile.removeAll() } }
            made.append(path)
        }
    }

    private static func removeAll() {
        made.withLock { made in
            for path in made { _ = unsafe unlink(path.string) }
        }
    }

    /// Gives it these contents.
    ///
    /// - Parameter size: the file's, in bytes, where zeros come after them.
    func fill(_ bytes: [UInt8], size: Int? = nil) {
        do {
            try descriptor.resize(to: 0)
            try descriptor.writeAll(toAbsoluteOffset: 0, bytes)
            if let size { try descriptor.resize(to: Int64(size)) }
        } catch {
            fatalError("\(path): \(error)")
        }
    }

    /// Reads it from its start.
    func read<Result>(_ body: (FileDescriptor) throws -> Result) throws -> Result {
        try descriptor.seek(offset: 0, from: .start)
        return try body(descriptor)
    }
}

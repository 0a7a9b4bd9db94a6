import Glibc
import SystemPackage

/// A file in memory that gets one input after another.
struct ScratchFile: Sendable {
    /// The file.
    let path: FilePath
    private let descriptor: FileDescriptor

    /// Makes an empty file, removed when the program ends.
    init() {
        path = FilePath("/dev/shm/fuzz-\(getpid())")
        do {
            descriptor = try FileDescriptor.open(
                path, .readWrite, options: [.create, .truncate, .closeOnExec],
                permissions: .ownerReadWrite)
        } catch {
            fatalError("\(path): \(error)")
        }
        // The fuzzer leaves by exit(), and no deinitializer runs.
        atexit { _ = unsafe unlink("/dev/shm/fuzz-\(getpid())") }
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

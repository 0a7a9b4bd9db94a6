import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

struct NoFailure: Error {}

/// A directory for one test's archives.
struct Archives {
    let directory = Result { try TemporaryDirectory() }

    func path(_ name: String = "chunks.dmsz") throws -> FilePath {
        try directory.get().file("here", []).removingLastComponent().appending(name)
    }

    /// Makes an archive and opens it.
    func reader(
        _ source: any ChunkSource, metadata: String = "{}",
        options: ArchiveOptions = ArchiveOptions(threads: 2)
    ) throws -> ArchiveReader {
        let path = try path()
        try ArchiveFiles.create(
            source: source, metadata: metadata, at: path, options: options)
        return try ArchiveReader(path: path)
    }

    /// An archive's bytes.
    func bytes(
        _ source: any ChunkSource, metadata: String = "{}",
        options: ArchiveOptions = ArchiveOptions(threads: 2)
    ) throws -> [UInt8] {
        let path = try path("bytes")
        let descriptor = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try descriptor.closeAfter {
            _ = try ArchiveWriter.write(
                source, metadata: metadata, to: descriptor, options: options)
        }
        return try TemporaryDirectory.contents(path)
    }

    /// A file with these bytes.
    func file(_ bytes: [UInt8], _ name: String = "chunks.dmsz") throws -> FilePath {
        try directory.get().file(name, bytes)
    }

    /// Opens an archive of these bytes and verifies it; gives what is wrong.
    func fault(in bytes: [UInt8], memoryLimit: ByteCount? = nil) throws -> String? {
        do {
            let verification = try ArchiveReader(path: file(bytes), memoryLimit: memoryLimit)
                .verify(options: ArchiveOptions(threads: 1))
            return verification.isWhole ? nil : verification.description
        } catch let error as ArchiveError {
            return error.description
        }
    }

    /// The same, from front to back.
    func streamFault(in bytes: [UInt8]) throws -> String? {
        let descriptor = try FileDescriptor.open(file(bytes, "stream"), .readOnly)
        return try descriptor.closeAfter {
            do {
                try ArchiveStream.verify(descriptor)
                return nil
            } catch let error as ArchiveError {
                return error.description
            }
        }
    }
}

/// What an operation throws that has to fail.
func failure(_ body: () throws -> Void) throws -> ArchiveError {
    do {
        try body()
    } catch let error as ArchiveError {
        #expect(!error.description.isEmpty && !error.description.contains("\n"))
        return error
    }
    throw NoFailure()
}

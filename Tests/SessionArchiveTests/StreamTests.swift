import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

@Suite struct StreamTests {
    let archives = Archives()

    /// Writes an archive to a pipe on a thread of its own, and reads the pipe with `body`.
    func piped<Output>(
        _ source: MemorySource, _ body: (FileDescriptor) throws -> Output
    ) throws -> (written: ArchiveSummary, read: Output) {
        let ends = try FileDescriptor.pipe()
        let written = Gate<Result<ArchiveSummary, any Error>?>(nil)
        let writer = try #require(
            WorkerThread.start(niceness: 0) {
                let result = Result {
                    try ends.writeEnd.closeAfter {
                        try ArchiveWriter.write(
                            source, metadata: "{}", to: ends.writeEnd,
                            options: ArchiveOptions(threads: 2))
                    }
                }
                written.change { $0 = result }
            })
        defer { writer.join() }
        let output = try ends.readEnd.closeAfter { try body(ends.readEnd) }
        return (try written.wait { $0 }.get(), output)
    }

    @Test func `an archive can be written to a pipe and verified from it`() throws {
        let source = try MemorySource.mixed(600, chunkBytes: 4096, seed: 21)
        let (written, verified) = try piped(source) { try ArchiveStream.verify($0) }
        #expect(written == verified)
        #expect(verified.dataChunks + verified.zeroChunks == 600)
    }

    @Test func `what goes through a pipe is what goes into a file`() throws {
        let source = try MemorySource.mixed(300, chunkBytes: 4096, seed: 22)
        let (_, bytes) = try piped(source) { descriptor in
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = try unsafe buffer.withUnsafeMutableBytes {
                    try unsafe descriptor.read(into: $0)
                }
                if count == 0 { return bytes }
                bytes += buffer[..<count]
            }
        }
        #expect(try bytes == archives.bytes(source))
        let reader = try ArchiveReader(path: archives.file(bytes))
        let same = try image(of: reader) == image(of: source)
        #expect(same)
    }

    @Test func `a descriptor that can't be written is an error of the system`() throws {
        let descriptor = try FileDescriptor.open(archives.file([1]), .readOnly)
        let error = try failure {
            _ = try descriptor.closeAfter {
                try ArchiveWriter.write(
                    MemorySource.mixed(3, chunkBytes: 512, seed: 1), metadata: "",
                    to: descriptor, path: "there")
            }
        }
        guard case .system(let cause) = error else { throw error }
        #expect(cause.errno == .badFileDescriptor && cause.path == "there")
    }

    @Test func `verifying from front to back can be stopped`() throws {
        let bytes = try archives.bytes(
            MemorySource.mixed(100, of: [.random], chunkBytes: 4096, seed: 1))
        let descriptor = try FileDescriptor.open(archives.file(bytes), .readOnly)
        let log = Log<ArchiveProgress>()
        let error = try failure {
            _ = try descriptor.closeAfter {
                try ArchiveStream.verify(
                    descriptor,
                    control: ArchiveControl(
                        report: log.append, isCancelled: { log.elements.count == 2 }))
            }
        }
        guard case .cancelled(.verifying, _, _) = error else { throw error }
    }
}

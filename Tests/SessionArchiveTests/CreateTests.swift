import Block
import ExceptionStore
import Foundation
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

@Suite struct CreateTests {
    let archives = Archives()

    /// The names in the archives' directory.
    func names() throws -> [String] {
        try Files.list(archives.path().removingLastComponent()).filter { $0 != "here" }
    }

    func source(_ seed: UInt64 = 1) throws -> MemorySource {
        try MemorySource.mixed(200, chunkBytes: 4096, seed: seed)
    }

    @Test func `only the owner may read an archive, and nothing else is left`() throws {
        let path = try archives.path()
        try ArchiveFiles.create(source: source(), metadata: "{}", at: path)
        #expect(try names() == ["chunks.dmsz"])
        let mode = try FileStatus(path).permissions
        #expect(mode == 0o600)
    }

    @Test func `what a crash left behind is removed`() throws {
        let path = try archives.path()
        _ = try archives.file([1, 2, 3], "chunks.dmsz" + ArchiveFiles.temporarySuffix)
        try ArchiveFiles.create(source: source(), metadata: "{}", at: path)
        #expect(try names() == ["chunks.dmsz"])
        #expect(try ArchiveReader(path: path).verify().isWhole)
    }

    // A crash after the rename and before the raw store was given up: the caller does it again.
    @Test func `an archive that is there is replaced`() throws {
        let path = try archives.path()
        for seed: UInt64 in [1, 2] {
            try ArchiveFiles.create(source: source(seed), metadata: "{}", at: path)
            let same = try image(of: ArchiveReader(path: path)) == image(of: source(seed))
            #expect(same)
        }
    }

    @Test func `a symbolic link in the temporary file's place is not followed`() throws {
        let path = try archives.path()
        let victim = try archives.file([1, 2, 3], "victim")
        let link = path.appendingSuffix(ArchiveFiles.temporarySuffix)
        try FileManager.default.createSymbolicLink(
            atPath: link.string, withDestinationPath: victim.string)
        try ArchiveFiles.create(source: source(), metadata: "{}", at: path)
        #expect(try TemporaryDirectory.contents(victim) == [1, 2, 3])
    }

    @Test(arguments: ArchivePhase.allCases)
    func `a stop in any phase leaves nothing`(phase: ArchivePhase) throws {
        let path = try archives.path()
        let log = Log<ArchiveProgress>()
        let control = ArchiveControl(
            report: log.append, isCancelled: { log.elements.last?.phase == phase })
        let error = try failure {
            try ArchiveFiles.create(
                source: source(), metadata: "", at: path, control: control)
        }
        guard case .cancelled(phase, _, _) = error else { throw error }
        #expect(try names().isEmpty)
    }

    @Test func `a stop in the middle leaves what was there before`() throws {
        let path = try archives.file([9], "chunks.dmsz")
        let log = Log<ArchiveProgress>()
        let control = ArchiveControl(report: log.append, isCancelled: { log.elements.count == 4 })
        let error = try failure {
            try ArchiveFiles.create(
                source: source(), metadata: "", at: path, control: control)
        }
        guard case .cancelled(.writing, let done, let total) = error else { throw error }
        #expect(done == 3 << 18 && total == 200 * 4096)
        #expect(try TemporaryDirectory.contents(path) == [9])
        #expect(try names() == ["chunks.dmsz"])
    }

    @Test func `progress goes through the phases, each from nothing to all`() throws {
        let log = Log<ArchiveProgress>()
        let summary = try ArchiveFiles.create(
            source: source(), metadata: "", at: archives.path(),
            control: ArchiveControl(report: log.append))
        let total: UInt64 = 200 * 4096
        let steps = Array(stride(from: 0, to: total, by: 1 << 18)) + [total]
        func done(_ phase: ArchivePhase) -> [UInt64] {
            log.elements.filter { $0.phase == phase }.map(\.bytesDone)
        }
        #expect(done(.writing) == steps)
        #expect(done(.synchronizing) == [0, summary.size.bytes])
        #expect(done(.verifying) == steps)
        let phases = log.elements.map(\.phase)
        let order = ArchivePhase.allCases.compactMap { phases.firstIndex(of: $0) }
        #expect(order == order.sorted() && order.count == 3)
    }

    @Test func `a source that fails is reported with its chunks, and leaves nothing`() throws {
        struct Broken: Error {}
        let base = try source()
        let bad = base.exceptions.entries[150]
        let watched = WatchedSource(base: base) { range, _ throws(ChunkReadError) in
            if range.contains(bad.storedChunk * 4096) { throw .damaged(Broken()) }
        }
        let error = try failure {
            try ArchiveFiles.create(source: watched, metadata: "", at: archives.path())
        }
        guard case .source(let chunks, .damaged) = error else { throw error }
        #expect(chunks.ranges.contains { $0.contains(bad.originChunk) })
        #expect(try names().isEmpty)
    }

    @Test(arguments: [Filling.text, .zero])
    func `a source that gives other bytes the second time makes no archive`(
        filling: Filling
    ) throws {
        let base = try MemorySource.mixed(100, of: [filling], chunkBytes: 4096, seed: 3)
        let log = Log<ArchiveProgress>()
        let watched = WatchedSource(base: base) { _, buffer throws(ChunkReadError) in
            if log.elements.last?.phase == .verifying { buffer[buffer.count - 1] ^= 1 }
        }
        let error = try failure {
            try ArchiveFiles.create(
                source: watched, metadata: "", at: archives.path(),
                control: ArchiveControl(report: log.append))
        }
        guard case .readBackDiffers(let chunks) = error else { throw error }
        #expect(!chunks.ranges.isEmpty)
        #expect(try names().isEmpty)
    }

    @Test func `an archive that changed on its way to the medium is not kept`() throws {
        let path = try archives.path()
        let control = ArchiveControl(report: { progress in
            guard progress.phase == .synchronizing, progress.bytesDone > 0 else { return }
            do {
                try TemporaryDirectory.patch(
                    path.appendingSuffix(ArchiveFiles.temporarySuffix), at: 5000, [1, 2, 3, 4])
            } catch {
                Issue.record(error)
            }
        })
        let error = try failure {
            try ArchiveFiles.create(
                source: source(), metadata: "", at: path, control: control)
        }
        guard case .damagedBlock(let block) = error else { throw error }
        #expect(block.bytes.contains(5000) && !block.chunks.ranges.isEmpty)
        #expect(try names().isEmpty)
    }

    @Test func `metadata larger than 1 MiB is refused`() throws {
        let error = try failure {
            try ArchiveFiles.create(
                source: source(), metadata: String(repeating: "é", count: 1 << 19) + "x",
                at: archives.path())
        }
        guard case .metadataTooLong((1 << 20) + 1) = error else { throw error }
        #expect(try names().isEmpty)
        let reader = try archives.reader(
            source(), metadata: String(repeating: "é", count: 1 << 19))
        #expect(reader.metadata.utf8.count == 1 << 20)
    }

    // With nobody at the FIFO's other end, opening it would wait for ever.
    @Test func `what is no file in the place of an archive is refused at once`() throws {
        let others: [(FilePath, String)] = try [
            (archives.directory.get().fifo("fifo"), "a FIFO"), ("/", "a directory"),
            ("/dev/null", "a character device"),
        ]
        for (path, kind) in others {
            for open in [
                { _ = try ArchiveReader(path: $0) }, { _ = try ArchiveInformation(path: $0) },
            ] as [(FilePath) throws -> Void] {
                let error = try failure { try open(path) }
                guard case .notAFile(kind) = error else { throw error }
            }
        }
    }

    @Test func `a directory that isn't there is an error of the system`() throws {
        let error = try failure {
            try ArchiveFiles.create(source: source(), metadata: "", at: "/nowhere/chunks.dmsz")
        }
        guard case .system(let cause) = error else { throw error }
        #expect(cause.errno == .noSuchFileOrDirectory)
    }
}

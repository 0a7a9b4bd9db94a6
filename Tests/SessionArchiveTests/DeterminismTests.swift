import ExceptionStore
import StoreTesting
import Testing

@testable import SessionArchive

@Suite struct DeterminismTests {
    let archives = Archives()

    @Test(arguments: 0..<4 as Range<UInt64>)
    func `threads, memory and priority change no byte`(seed: UInt64) throws {
        let source = try MemorySource.mixed(700, chunkBytes: 2048, short: 7, seed: seed)
        let one = try archives.bytes(source, options: ArchiveOptions(threads: 1))
        for threads in [2, 3, 16] {
            #expect(
                try archives.bytes(source, options: ArchiveOptions(threads: threads)) == one)
        }
        let other = ArchiveOptions(threads: 4, niceness: 10, memory: 0)
        #expect(try archives.bytes(source, options: other) == one)
    }

    @Test func `the order in which chunks are stored changes no byte`() throws {
        let chunks = (0..<64).map { (origin: UInt64($0), filling: Filling.zero) }
        let sorted = try MemorySource(chunks, chunkBytes: 512, originChunks: 64)
        let reversed = try MemorySource(chunks.reversed(), chunkBytes: 512, originChunks: 64)
        #expect(try archives.bytes(sorted) == archives.bytes(reversed))
    }

    @Test func `options are cut to what is possible`() {
        #expect(ArchiveOptions(threads: -3).threads == 1)
        #expect(ArchiveOptions(blockSize: -1).blockSize == 4096)
        #expect(ArchiveOptions(blockSize: 4097).blockSize == 8192)
        #expect(ArchiveOptions(blockSize: .max).blockSize == 16 << 20)
        #expect(ArchiveOptions(niceness: 99).niceness == 19)
        #expect(ArchiveOptions(threads: 100, memory: 0).workload(workspaceBytes: 1 << 20) == (2, 2))
    }
}

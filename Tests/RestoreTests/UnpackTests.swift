import Block
import ExceptionStore
import Restore
import StoreTesting
import SystemPackage
import Testing

@Suite struct UnpackTests {
    @Test(
        "The store that a chain is unpacked to restores what the chain does",
        arguments: [[4096], [1024, 4096, 512], [512, 16384], [16384, 1024]], [4096, 1 << 20])
    func union(chunks: [Int], batch: Int) throws {
        var generator = SeededGenerator(seed: 5)
        // No whole number of chunks.
        var chain = try Chain(origin: generator.bytes(300 * 1024 + 512))
        for (number, chunk) in chunks.enumerated() {
            try chain.session(chunkBytes: chunk, seed: UInt64(number)) { $0.writeAtRandom(12) }
        }
        let plan = try RestorePlan(sources: chain.sources())
        let verified = try plan.verify(
            options: RestoreOptions(batchSize: batch))
        let path = chain.directory.path.appending("unpacked")
        let unpacked = try verified.unpack(to: OwnedDescriptor.create(path))
        #expect(unpacked.chunkSize.bytes.bytes == UInt64(try #require(chunks.min())))
        let store = try ClosedStore(
            path: path, originSize: ByteCount(chain.originSize), expecting: unpacked.chunkSize)
        #expect(UInt64(store.exceptions.count) == unpacked.chunks)
        let target = try chain.target()
        _ = try RestorePlan(sources: [store]).run(on: open(target))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
    }

    @Test("Chunks larger than a batch are put together again")
    func largeChunks() throws {
        var generator = SeededGenerator(seed: 6)
        var chain = try Chain(origin: generator.bytes(100 * 1024))
        try chain.session(chunkBytes: 32768, seed: 1) { $0.writeAtRandom(3) }
        let verified = try RestorePlan(sources: chain.sources()).verify(
            options: RestoreOptions(batchSize: 4096))
        let path = chain.directory.path.appending("unpacked")
        let unpacked = try verified.unpack(to: OwnedDescriptor.create(path))
        let store = try ClosedStore(
            path: path, originSize: ByteCount(chain.originSize), expecting: unpacked.chunkSize)
        let target = try chain.target()
        _ = try RestorePlan(sources: [store]).run(on: open(target))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
    }

    @Test("A source that changes after it was verified is not unpacked")
    func changed() throws {
        let chain = try Chain.simple()
        let verified = try RestorePlan(sources: chain.sources()).verify()
        try TemporaryDirectory.patch(chain.stores[0], at: 2 * 4096 + 5, [1, 2, 3])
        let path = chain.directory.path.appending("unpacked")
        let error = #expect(throws: RestoreError.self) {
            _ = try verified.unpack(to: OwnedDescriptor.create(path))
        }
        guard case .changedSinceVerified = error?.reason else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}

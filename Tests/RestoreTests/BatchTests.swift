import ExceptionStore
import StoreTesting
import Testing

@testable import Restore

@Suite struct BatchTests {
    static func batches(_ source: MemorySource, capacity: Int) throws -> [Batch] {
        var iterator = BatchIterator(
            try RestorePlan(sources: [source]).extents, capacity: capacity)
        var batches: [Batch] = []
        while let batch = iterator.next() { batches.append(batch) }
        return batches
    }

    @Test func `reads go through the source in its order, writes through the origin`() throws {
        let source = try MemorySource(
            [(0, 9), (1, 3), (2, 6), (5, 1)], chunkBytes: 512, originSize: 4096)
        let batches = try Self.batches(source, capacity: 4096)
        #expect(batches.count == 1)
        #expect(batches[0].reads.map(\.extent.storedOffset) == [512, 1536, 3072, 4608])
        #expect(
            batches[0].writes == [
                Batch.Write(range: 0..<1536, slot: 0..<1536),
                Batch.Write(range: 2560..<3072, slot: 1536..<2048),
            ])
        #expect(batches[0].span == ByteRange(0..<3072))
    }

    @Test func `an extent larger than a batch is cut`() throws {
        let source = try MemorySource(
            (0..<20).map { ($0, $0 + 5) }, chunkBytes: 512, originSize: 20 * 512 - 12)
        let batches = try Self.batches(source, capacity: 4096)
        #expect(batches.map(\.length) == [4096, 4096, 2036])
        #expect(batches.flatMap(\.pieces).map(\.extent.storedOffset) == [2560, 6656, 10752])
        #expect(batches.map(\.span.bytes) == [0..<4096, 4096..<8192, 8192..<10228])
    }

    @Test func `batches are full but for the last`() throws {
        let source = try MemorySource(
            (0..<100).map { (2 * $0, $0) }, chunkBytes: 512, originSize: 200 * 512)
        let batches = try Self.batches(source, capacity: 4096)
        #expect(batches.map(\.pieces.count) == [Int](repeating: 8, count: 12) + [4])
    }

    @Test func `a batch's size is a whole number of pages`() {
        #expect(RestoreOptions(batchSize: -5).batchSize == 4096)
        #expect(RestoreOptions(batchSize: 4097).batchSize == 8192)
        #expect(RestoreOptions(batchSize: .max).batchSize == 1 << 30)
        #expect(RestoreOptions().batchSize == 4 << 20)
    }

    @Test func `a range names the sectors it touches`() {
        #expect(ByteRange(512..<1025).sectors == 1...2)
        #expect(ByteRange(5..<5).sectors == nil)
        #expect(ByteRange(512..<1025).description == "sectors 1–2 (bytes 512–1024)")
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func `a heap gives its elements in order`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let numbers = (0..<Int(seed * 7)).map { _ in Int.random(in: 0..<20, using: &generator) }
        var heap = Heap<Int>()
        for number in numbers { heap.insert(number) }
        var sorted: [Int] = []
        while let least = heap.least {
            sorted.append(least)
            heap.removeLeast()
        }
        #expect(sorted == numbers.sorted())
    }
}

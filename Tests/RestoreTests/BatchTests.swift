import ExceptionStore
import StoreTesting
import Testing

@testable import Restore

@Suite struct BatchTests {
    static func batches(_ source: MemorySource, capacity: Int) throws -> [Batch] {
        var iterator = BatchIterator(
            try RestorePlan(sources: [source]).extents, capacity: capacity)
        var batches: [Batch] = []
        var batch = Batch()
        while iterator.next(into: &batch) { batches.append(batch) }
        return batches
    }

    static func writes(_ batch: Batch, atMost limit: Int = .max) -> [Batch.Write] {
        var writes: [Batch.Write] = []
        batch.forEachWrite(atMost: limit) { writes.append($0) }
        return writes
    }

    @Test func `reads go through the source in its order, writes through the origin`() throws {
        let reads = Log<Range<UInt64>>()
        let source = WatchedSource(
            base: try MemorySource(
                [(0, 9), (1, 3), (2, 6), (3, 7), (5, 1)], chunkBytes: 512, originSize: 4096)
        ) { range throws(ChunkReadError) in reads.append(range) }
        let plan = try RestorePlan(sources: [source])
        var iterator = BatchIterator(plan.extents, capacity: 4096)
        let slot = BatchSlot(capacity: 4096, EngineSettings())
        let isThere = iterator.next(into: &slot.batch)
        #expect(isThere)
        SourceReader(sources: plan.sources, announces: false, usesRing: false).load(
            slot, locatesDamage: true)
        #expect(reads.elements == [512..<1024, 1536..<2048, 3072..<4096, 4608..<5120])
        #expect(
            Self.writes(slot.batch) == [
                Batch.Write(range: 0..<2048, slot: 0..<2048),
                Batch.Write(range: 2560..<3072, slot: 2048..<2560),
            ])
        #expect(slot.batch.span == ByteRange(0..<3072))
    }

    // A packed form keeps chunks in a row that are not so on the origin.
    @Test func `what is in a row in the source is read at once, wherever it belongs`() throws {
        let reads = Log<Range<UInt64>>()
        let source = WatchedSource(
            base: try MemorySource(
                (0..<8).map { (3 * $0, $0) }, chunkBytes: 512, originSize: 16384)
        ) { range throws(ChunkReadError) in reads.append(range) }
        _ = try RestorePlan(sources: [source]).verify()
        #expect(reads.elements == [0..<4096])
    }

    @Test func `a write is cut where it becomes too long`() throws {
        let source = try MemorySource([(0, 3), (1, 0)], chunkBytes: 4096, originSize: 8092)
        let batch = try Self.batches(source, capacity: 8192)[0]
        #expect(
            Self.writes(batch, atMost: 3072) == [
                Batch.Write(range: 0..<3072, slot: 0..<3072),
                Batch.Write(range: 3072..<6144, slot: 3072..<6144),
                Batch.Write(range: 6144..<8092, slot: 6144..<8092),
            ])
    }

    @Test func `what is damaged is neither written nor in the checksum`() throws {
        let source = try MemorySource(
            (0..<4).map { (2 * $0, $0) }, chunkBytes: 512, originSize: 4096)
        var batch = try Self.batches(source, capacity: 4096)[0]
        batch.markDamaged([0..<100, 1200..<2100, 3400..<4000])
        #expect(
            Self.writes(batch) == [
                Batch.Write(range: 100..<512, slot: 100..<512),
                Batch.Write(range: 1024..<1200, slot: 512..<688),
                Batch.Write(range: 2100..<2560, slot: 1076..<1536),
                Batch.Write(range: 3072..<3400, slot: 1536..<1864),
            ])
        var parts: [Range<Int>] = []
        batch.forEachFilledPart { parts.append($0) }
        #expect(parts == [100..<688, 1076..<1864])
        #expect(batch.writtenLength == 588 + 788)
    }

    // The values that xxHash's own functions give.
    @Test(
        arguments: [
            ("", 0, 0x2d06_8005_38d3_94c2), ("a", 0, 0xe6c6_32b6_1e96_4e1f),
            ("abc", 0, 0x78af_5f94_892f_3950), ("abc", 1, 0x6b44_67b4_43c7_6228),
            ("Nobody inspects the spammish repetition", 0, 0x6cb0_0603_b5cc_47e9),
        ] as [(String, UInt64, UInt64)])
    func `the hash of contents is XXH3`(text: String, seed: UInt64, sum: UInt64) {
        #expect(ContentHash.of(Array(text.utf8).span, seed: seed) == sum)
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
        #expect(RestoreOptions(batchSize: .max).batchSize == 2 << 20)
        #expect(RestoreOptions().batchSize == 512 << 10)
    }

    @Test func `a range names the sectors it touches`() {
        #expect(ByteRange(512..<1025).sectors == 1...2)
        #expect(ByteRange(5..<5).sectors == nil)
        #expect(ByteRange(512..<1025).description == "sectors 1–2 (bytes 512–1024)")
    }
}

import Block
import ExceptionStore
import Restore
import StoreTesting
import SystemPackage
import Testing

@Suite struct UnionSourceTests {
    @Test(
        "The union of a chain's sources restores what the chain does, and each source's chunks are in it",
        arguments: [[4096], [1024, 4096, 512], [512, 16384], [16384, 1024], [4096, 4096, 4096]])
    func union(chunks: [Int]) throws {
        var generator = SeededGenerator(seed: 8)
        // No whole number of chunks.
        var chain = try Chain(origin: generator.bytes(300 * 1024 + 512))
        for (number, chunk) in chunks.enumerated() {
            try chain.session(chunkBytes: chunk, seed: UInt64(number)) { $0.writeAtRandom(12) }
        }
        let plan = try RestorePlan(sources: chain.sources())
        let union = try UnionSource(plan)
        #expect(union.chunkSize.bytes.bytes == UInt64(try #require(chunks.min())))
        #expect(union.originSize.bytes == chain.originSize)
        let whole = try RestorePlan(sources: [union])
        #expect(whole.totals.bytes == plan.totals.bytes)
        let target = try chain.target()
        _ = try whole.run(on: open(target))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
        for source in try chain.sources() {
            let both = try RestorePlan(sources: [union, source])
            #expect(!both.extents.contains { $0.source == 1 })
        }
    }

    @Test("Of a chunk that several have, the older one's contents are read")
    func older() throws {
        let first = try MemorySource(
            [(0, 0), (2, 1)], chunkBytes: 1024, originSize: 4096,
            stored: [UInt8](repeating: 1, count: 2048))
        let second = try MemorySource(
            [(1, 0), (2, 1), (3, 2)], chunkBytes: 1024, originSize: 4096,
            stored: [UInt8](repeating: 2, count: 3072))
        let union = try UnionSource(RestorePlan(sources: [first, second]))
        #expect(union.exceptions.entries.map(\.originChunk) == [0, 1, 2, 3])
        var contents: [UInt8] = []
        for entry in union.exceptions.entries {
            var bytes = [UInt8](repeating: 0, count: 1024)
            var span = bytes.mutableSpan
            try union.read(into: &span, at: entry.storedChunk * 1024)
            contents.append(bytes[0])
        }
        #expect(contents == [1, 2, 1, 2])
    }

    @Test("No read goes from one source into the next, however their chunks lie")
    func apart() throws {
        let first = try MemorySource([(0, 0)], chunkBytes: 1024, originSize: 2048)
        let second = try MemorySource([(1, 0)], chunkBytes: 1024, originSize: 2048)
        let union = try UnionSource(RestorePlan(sources: [first, second]))
        #expect(Array(union.exceptions.runs).count == 2)
    }

    @Test("What is damaged in one of them is said with its file")
    func damaged() throws {
        struct Broken: Error {}
        let first = try MemorySource([(0, 0)], chunkBytes: 1024, originSize: 2048)
        let second = WatchedSource(
            base: try MemorySource([(1, 0)], chunkBytes: 1024, originSize: 2048)
        ) { _ throws(ChunkReadError) in throw .damaged(Broken()) }
        let union = try UnionSource(RestorePlan(sources: [first, second]))
        let stored = try #require(union.exceptions.storedChunk(for: 1))
        var bytes = [UInt8](repeating: 0, count: 1024)
        var span = bytes.mutableSpan
        do {
            try union.read(into: &span, at: stored * 1024)
            Issue.record("nothing was thrown")
        } catch {
            guard case .damaged(let cause) = error, let part = cause as? PartDamage else {
                Issue.record("\(error)")
                return
            }
            #expect(part.path == "memory" && part.cause is Broken)
        }
    }

    @Test(
        "An index before a chain's stores makes a store that restores what the chain does",
        arguments: [[4096], [1024, 4096, 512], [512, 16384], [16384, 1024], [4096, 512, 4096]])
    func index(chunks: [Int]) throws {
        var generator = SeededGenerator(seed: 9)
        var chain = try Chain(origin: generator.bytes(300 * 1024 + 512))
        for (number, chunk) in chunks.enumerated() {
            try chain.session(chunkBytes: chunk, seed: UInt64(number)) { $0.writeAtRandom(30) }
        }
        let union = try UnionSource(RestorePlan(sources: chain.sources()))
        let index = try StoreIndex(union.exceptions)
        let file = chain.directory.path.appending("index")
        try index.write(to: OwnedDescriptor.create(file))
        let own = try TemporaryDirectory.contents(file)
        #expect(own.count == Int(index.head.bytes))
        var device = own
        for (store, space) in zip(chain.stores, union.spaces) {
            device += [UInt8](
                repeating: 0, count: Int(index.head.bytes + space.lowerBound) - device.count)
            device += try TemporaryDirectory.contents(store)[..<space.count]
        }
        device.removeLast(max(0, device.count - Int(index.head.bytes + index.kept.bytes)))
        // As the kernel reads it: entry for entry, to the first that names no chunk.
        let layout = AreaLayout(chunkSize: union.chunkSize)
        let chunk = Int(union.chunkSize.bytes.bytes)
        var restored = chain.states[chain.states.count - 1]
        var highest = 0
        var count: UInt64 = 0
        while true {
            let area = Int(
                try #require(layout.chunk(ofArea: count / union.chunkSize.exceptionsPerArea)))
            let place = area * chunk + Int(count % union.chunkSize.exceptionsPerArea) * 16
            guard let entry = ExceptionEntry(reading: device.span, at: place), !entry.endsList
            else {
                break
            }
            let start = Int(entry.originChunk) * chunk
            let length = min(chunk, restored.count - start)
            let stored = Int(entry.storedChunk) * chunk
            restored.replaceSubrange(
                start..<start + length, with: device[stored..<stored + length])
            highest = max(highest, Int(entry.storedChunk))
            count += 1
        }
        #expect(count == UInt64(union.exceptions.count))
        #expect(restored == chain.states[0])
        #expect((highest + 1) * chunk == device.count)
        // The list has its end in the head.
        let last = try #require(
            layout.chunk(ofArea: layout.areas(forExceptions: count) - 1) as UInt64?)
        #expect((last + 1) * union.chunkSize.bytes.bytes == index.head.bytes)
    }
}

import Block
import ExceptionStore
import Restore
import StoreTesting
import SystemPackage
import Testing

@Suite struct RestoreTests {
    static let chunkSizes = [512, 1024, 4096, 16384, 65536]

    @Test func `one session's restore gives the origin back and says what it did`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        let report = try plan.run(on: open(target), options: RestoreOptions(readBack: true))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
        #expect(
            report.totals
                == RestoreTotals(sources: 1, chunks: 20, extents: 20, bytes: 20 * 4096))
        #expect(report.bytesWritten == 20 * 4096)
        #expect(report.wasReadBack)
        #expect(Set(report.durations.keys) == Set(RestorePhase.allCases))
    }

    @Test func `a dry run reads everything and writes nothing`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        let readOnly = try OwnedDescriptor.open(target, .readOnly)
        let report = try plan.run(on: readOnly, options: RestoreOptions(dryRun: true))
        #expect(try TemporaryDirectory.contents(target) == chain.states[1])
        #expect(report.bytesWritten == 0)
        #expect(report.totals.bytes == 20 * 4096)
        #expect(Array(report.durations.keys) == [.verifying])
    }

    @Test func `a session without exceptions restores to what is there`() throws {
        var generator = SeededGenerator(seed: 3)
        var chain = try Chain(origin: generator.bytes(5000))
        try chain.session(chunkBytes: 512, seed: 3) { _ in }
        let target = try chain.target()
        let report = try RestorePlan(sources: chain.sources()).run(on: open(target))
        #expect(report.totals == RestoreTotals(sources: 1))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
    }

    @Test func `nothing is written where no chunk was kept`() throws {
        let chain = try Chain.simple()
        // Chunk 1 has no exception: what is in it isn't the restore's business.
        var now = chain.states[1]
        now[4096 + 5] ^= 0xff
        let target = try chain.directory.file("target", now)
        _ = try RestorePlan(sources: chain.sources()).run(on: open(target))
        var expected = chain.states[0]
        expected[4096 + 5] ^= 0xff
        #expect(try TemporaryDirectory.contents(target) == expected)
    }

    @Test func `a restore can be run twice`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        _ = try plan.run(on: open(target))
        _ = try plan.run(on: open(target))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
    }

    @Test func `chunks that share their stored data are restored each`() throws {
        let data = [UInt8](repeating: 5, count: 512)
        let source = try MemorySource(
            [(0, 0), (1, 0), (3, 0)], chunkBytes: 512, originSize: 2048, stored: data)
        let directory = try TemporaryDirectory()
        let target = try directory.file("target", [UInt8](repeating: 9, count: 2048))
        _ = try RestorePlan(sources: [source]).run(on: open(target))
        let other = [UInt8](repeating: 9, count: 512)
        #expect(try TemporaryDirectory.contents(target) == data + data + other + data)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `any one session restores to the bytes before it`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let size = Int.random(in: 1...200_000, using: &generator)
        var chain = try Chain(origin: generator.bytes(size))
        let chunkBytes = Self.chunkSizes.randomElement(using: &generator) ?? 512
        try chain.session(chunkBytes: chunkBytes, seed: seed) { $0.writeAtRandom(30) }
        let target = try chain.target()
        let batchSize = 4096 << Int.random(in: 0...6, using: &generator)
        _ = try RestorePlan(sources: chain.sources()).run(
            on: open(target), options: RestoreOptions(readBack: true, batchSize: batchSize))
        let restored = try TemporaryDirectory.contents(target) == chain.states[0]
        #expect(restored, "seed \(seed)")
    }

    @Test(arguments: 100..<140 as Range<UInt64>)
    func `any session of a chain restores to the bytes before it`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let size = Int.random(in: 1...120_000, using: &generator)
        var chain = try Chain(origin: generator.bytes(size))
        let sessions = Int.random(in: 2...20, using: &generator)
        for session in 0..<sessions {
            let chunkBytes = Self.chunkSizes.randomElement(using: &generator) ?? 512
            let writes = Int.random(in: 0...6, using: &generator)
            try chain.session(chunkBytes: chunkBytes, seed: seed &+ UInt64(session) << 32) {
                $0.writeAtRandom(writes)
            }
        }
        for session in [0, sessions / 2, sessions - 1] {
            let target = try chain.target()
            _ = try RestorePlan(sources: chain.sources(from: session)).run(
                on: open(target), options: RestoreOptions(batchSize: 16384))
            let restored = try TemporaryDirectory.contents(target) == chain.states[session]
            #expect(restored, "seed \(seed), session \(session)")
        }
    }

    @Test func `progress goes through the phases, each from nothing to all`() throws {
        let chain = try Chain.simple()
        let log = Log<RestoreProgress>()
        _ = try RestorePlan(sources: chain.sources()).run(
            on: open(chain.target()), options: RestoreOptions(readBack: true, batchSize: 8192),
            control: RestoreControl(report: log.append))
        let total: UInt64 = 20 * 4096
        func events(_ phase: RestorePhase) -> [UInt64] {
            log.elements.filter { $0.phase == phase }.map(\.bytesDone)
        }
        let steps = Array(stride(from: 0, through: total, by: 8192))
        #expect(events(.verifying) == steps)
        #expect(events(.writing) == steps)
        #expect(events(.synchronizing) == [0, total])
        #expect(events(.readingBack) == steps)
        #expect(log.elements.allSatisfy { $0.bytesTotal == total })
        let order = RestorePhase.allCases.compactMap {
            log.elements.map(\.phase).firstIndex(of: $0)
        }
        #expect(order == order.sorted() && order.count == 4)
    }
}

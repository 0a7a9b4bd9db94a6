import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import Restore

@Suite struct DamageTests {
    static func damage(of plan: RestorePlan, batchSize: Int = 8192) throws -> Damage {
        do {
            _ = try plan.verify(options: RestoreOptions(batchSize: batchSize))
        } catch {
            #expect(!error.targetTouched)
            guard case .damaged(let damage) = error.reason else { throw error }
            return damage
        }
        throw FailureTests.NoFailure()
    }

    @Test(arguments: [true, false])
    func `all damage is found in one go, and joined`(locates: Bool) throws {
        // Chunks 0 to 19 in a row, from stored chunk 3 on; 30 and 31 apart.
        let base = try MemorySource(
            (0..<20).map { ($0, $0 + 3) } + [(30, 0), (31, 24)], chunkBytes: 512,
            originSize: 32 * 512)
        let source = DamagedSource(
            base: base, lost: [4 * 512..<7 * 512, 20 * 512..<22 * 512, 24 * 512..<25 * 512],
            locates: locates)
        for batchSize in [4096, 8192, 1 << 20] {
            let damage = try Self.damage(of: RestorePlan(sources: [source]), batchSize: batchSize)
            let chunks: [ClosedRange<UInt64>] = [1...3, 17...18, 31...31]
            #expect(damage.map(\.chunks) == chunks)
            let ranges: [Range<UInt64>] = [512..<2048, 8704..<9728, 15872..<16384]
            #expect(damage.map(\.range.bytes) == ranges)
            let stored: [UInt64] = [2048, 10240, 12288]
            #expect(damage.map(\.storedOffset) == stored)
            #expect(damage.bytes == 6 * 512 && damage.rangeCount == 3 && damage.isComplete)
            #expect(damage.description.contains("chunks 1–3 in memory"))
        }
    }

    // A packed form's blocks begin and end where they like.
    @Test func `located damage costs just its bytes`() throws {
        let base = try MemorySource(
            (0..<8).map { (2 * $0, $0) }, chunkBytes: 4096, originSize: 65536)
        let source = DamagedSource(base: base, lost: [5000..<9000], locates: true)
        let damage = try Self.damage(of: RestorePlan(sources: [source]), batchSize: 1 << 20)
        let ranges: [Range<UInt64>] = [9096..<12288, 16384..<17192]
        #expect(damage.map(\.range.bytes) == ranges)
        #expect(damage.bytes == 4000)
    }

    @Test func `damage that an older source hides is none`() throws {
        let older = try MemorySource([(1, 0)], chunkBytes: 512, originSize: 4096)
        let newer = DamagedSource(
            base: try MemorySource((0..<3).map { ($0, $0) }, chunkBytes: 512, originSize: 4096),
            lost: [512..<1024], locates: false)
        let verified = try RestorePlan(sources: [older, newer]).verify()
        #expect(verified.damage.isEmpty && verified.bytesToWrite == 1536)
    }

    @Test func `more ranges than are listed are counted, and not left out`() {
        let source = DamagedSource.LostHere(storedBytes: 0..<1)
        var damage = Damage(limit: 3)
        guard let memory = try? MemorySource([(0, 0)], chunkBytes: 512, originSize: 8192) else {
            Issue.record("no source")
            return
        }
        for chunk in [0, 1, 4, 6, 8, 9] as [UInt64] {
            damage.append(
                ReadFailure(
                    extent: RestoreExtent(
                        originOffset: chunk * 512, length: 512, source: 0, storedOffset: 0),
                    cause: .damaged(source)), of: memory)
        }
        #expect(damage.rangeCount == 4 && damage.bytes == 6 * 512)
        let chunks: [ClosedRange<UInt64>] = [0...1, 4...4, 6...6]
        #expect(damage.map(\.chunks) == chunks && !damage.isComplete)
    }

    @Test(arguments: 0..<16 as Range<UInt64>)
    func `what is damaged is left out, just that, and reported`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let chain = try EngineTests.chain(seed, size: 200_000)
        var lost: [[Range<UInt64>]] = []
        let sources = try chain.sources().map { source in
            let stored = source.exceptions.entries.map(\.storedChunk)
            let size = source.chunkSize.bytes.bytes
            let chosen = stored.filter { _ in Int.random(in: 0..<5, using: &generator) == 0 }
            lost.append(chosen.map { $0 * size..<($0 + 1) * size })
            return DamagedSource(
                base: source, lost: lost[lost.count - 1], locates: seed.isMultiple(of: 2))
        }
        let plan = try RestorePlan(sources: sources)
        var expected = chain.states[0]
        var bytes: UInt64 = 0
        for extent in plan.extents {
            for place in 0..<extent.length
            where lost[extent.source].contains(where: { $0.contains(extent.storedOffset + place) })
            {
                let offset = Int(extent.originOffset + place)
                expected[offset] = chain.states[chain.states.count - 1][offset]
                bytes += 1
            }
        }
        let target = try chain.target()
        let settings = EngineSettings.all[Int(seed) % EngineSettings.all.count]
        let report = try plan.run(
            on: open(target),
            RestoreOptions(readBack: true, skipDamaged: true, batchSize: 8192), settings,
            RestoreControl())
        let isExpected = try TemporaryDirectory.contents(target) == expected
        #expect(isExpected, "seed \(seed)")
        #expect(report.damage.bytes == bytes)
        #expect(report.bytesWritten == plan.totals.bytes - bytes)
        #expect(report.damage.reduce(0) { $0 + UInt64($1.range.bytes.count) } == bytes)
    }

    @Test func `damage that comes after verifying stops the writing`() throws {
        let chain = try Chain.simple()
        let cause = try FailureTests.systemError()
        let base = try #require(try chain.sources().first)
        let last = try #require(base.exceptions.storedChunk(for: 38))
        let log = Log<RestoreProgress>()
        let source = WatchedSource(base: base) { range throws(ChunkReadError) in
            guard log.elements.last?.phase == .writing, range.contains(last * 4096) else { return }
            throw .system(cause)
        }
        let error = try FailureTests.failure(
            RestorePlan(sources: [source]), on: chain.target(),
            settings: FailureTests.withOneThread, control: RestoreControl(report: log.append))
        guard case .source(_, let range, _, .system(cause)) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(range == ByteRange(38 * 4096..<39 * 4096))
        #expect(error.bytesWritten == 18 * 4096 && error.targetTouched)
    }
}

import Block
import ExceptionStore
import StoreTesting
import Testing

@testable import Restore

@Suite struct ExtentTests {
    static func extents(_ sources: [any ChunkSource]) throws -> [RestoreExtent] {
        Array(try RestorePlan(sources: sources).extents)
    }

    static func extent(
        _ origin: UInt64, _ length: UInt64, from source: Int, at stored: UInt64
    ) -> RestoreExtent {
        RestoreExtent(originOffset: origin, length: length, source: source, storedOffset: stored)
    }

    @Test func `chunks in a row here and there are one extent`() throws {
        let source = try MemorySource(
            [(3, 10), (1, 8), (2, 9), (4, 12), (6, 13)], chunkBytes: 512, originSize: 4096)
        #expect(
            try Self.extents([source]) == [
                Self.extent(512, 1536, from: 0, at: 8 * 512),
                Self.extent(2048, 512, from: 0, at: 12 * 512),
                Self.extent(3072, 512, from: 0, at: 13 * 512),
            ])
    }

    // What follows the origin's end in a short last chunk is stale rubbish.
    @Test func `the last extent ends with the origin`() throws {
        let source = try MemorySource(
            [(0, 0), (1, 1)], chunkBytes: 4096, originSize: 4096 + 100)
        #expect(try Self.extents([source]) == [Self.extent(0, 4196, from: 0, at: 0)])
    }

    @Test func `an origin that ends with the numbers ends an extent too`() throws {
        let last = UInt64.max >> 30
        let source = try MemorySource(
            [(last, 0)], chunkBytes: 1 << 30, originSize: .max, stored: [])
        #expect(
            try Self.extents([source]) == [Self.extent(last << 30, (1 << 30) - 1, from: 0, at: 0)])
    }

    @Test func `the oldest source wins`() throws {
        let older = try MemorySource([(1, 0)], chunkBytes: 512, originSize: 4096)
        let newer = try MemorySource([(0, 5), (1, 6), (2, 7)], chunkBytes: 512, originSize: 4096)
        #expect(
            try Self.extents([older, newer]) == [
                Self.extent(0, 512, from: 1, at: 5 * 512),
                Self.extent(512, 512, from: 0, at: 0),
                Self.extent(1024, 512, from: 1, at: 7 * 512),
            ])
        #expect(
            try Self.extents([newer, older]) == [Self.extent(0, 1536, from: 0, at: 5 * 512)])
    }

    @Test func `a small old chunk wins inside a large new one, and only there`() throws {
        let older = try MemorySource([(3, 0)], chunkBytes: 512, originSize: 8192)
        let newer = try MemorySource([(0, 2), (1, 1)], chunkBytes: 4096, originSize: 8192)
        #expect(
            try Self.extents([older, newer]) == [
                Self.extent(0, 1536, from: 1, at: 8192),
                Self.extent(1536, 512, from: 0, at: 0),
                Self.extent(2048, 2048, from: 1, at: 8192 + 2048),
                Self.extent(4096, 4096, from: 1, at: 4096),
            ])
    }

    @Test func `small new chunks count only outside a large old one`() throws {
        let older = try MemorySource([(1, 0)], chunkBytes: 4096, originSize: 16384)
        let newer = try MemorySource(
            (6..<18).map { ($0, $0) }, chunkBytes: 512, originSize: 16384)
        #expect(
            try Self.extents([older, newer]) == [
                Self.extent(3072, 1024, from: 1, at: 3072),
                Self.extent(4096, 4096, from: 0, at: 0),
                Self.extent(8192, 1024, from: 1, at: 8192),
            ])
    }

    @Test func `sources without exceptions give an empty plan`() throws {
        let empty = try MemorySource([], chunkBytes: 512, originSize: 4096)
        let plan = try RestorePlan(sources: [empty, empty])
        #expect(Array(plan.extents).isEmpty)
        #expect(plan.totals == RestoreTotals(sources: 2))
    }

    @Test func `a plan without sources is refused`() {
        #expect {
            try RestorePlan(sources: [])
        } throws: { error in
            if case .noSources? = (error as? RestoreError)?.reason { true } else { false }
        }
    }

    @Test func `sources about origins of different sizes are refused`() throws {
        let one = try MemorySource([], chunkBytes: 512, originSize: 4096)
        let other = try MemorySource([], chunkBytes: 512, originSize: 4097)
        #expect {
            try RestorePlan(sources: [one, one, other])
        } throws: { error in
            guard
                case .originSizesDiffer(let source, let found, let oldest)? =
                    (error as? RestoreError)?.reason
            else { return false }
            return source.index == 2 && found.bytes == 4097 && oldest.bytes == 4096
        }
    }

    // Against the definition, sector by sector.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func `every byte comes from the oldest source that has it`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let originSize = UInt64.random(in: 1...70_000, using: &generator)
        var owners = [RestoreExtent?](repeating: nil, count: Int(originSize + 511) / 512)
        var sources: [any ChunkSource] = []
        for index in 0..<Int.random(in: 1...20, using: &generator) {
            let chunkBytes = UInt64(512) << UInt64.random(in: 0...5, using: &generator)
            let chunks = (originSize + chunkBytes - 1) / chunkBytes
            var entries: [(origin: UInt64, stored: UInt64)] = []
            var stored: UInt64 = 0
            for chunk in 0..<chunks where Int.random(in: 0..<4, using: &generator) == 0 {
                stored += UInt64.random(in: 1...2, using: &generator)
                entries.append((chunk, stored))
            }
            entries.shuffle(using: &generator)
            sources.append(
                try MemorySource(
                    entries, chunkBytes: chunkBytes, originSize: originSize, stored: []))
            for entry in entries {
                for part in 0..<chunkBytes / 512 {
                    let sector = Int(entry.origin * chunkBytes / 512 + part)
                    guard sector < owners.count, owners[sector] == nil else { continue }
                    owners[sector] = Self.extent(
                        UInt64(sector) * 512, min(512, originSize - UInt64(sector) * 512),
                        from: index, at: entry.stored * chunkBytes + part * 512)
                }
            }
        }
        var expected: [RestoreExtent] = []
        for owner in owners.compactMap({ $0 }) {
            if let last = expected.last, last.isContinued(by: owner) {
                expected[expected.count - 1] = last.joined(with: owner)
            } else {
                expected.append(owner)
            }
        }
        #expect(try Self.extents(sources) == expected, "seed \(seed)")
    }
}

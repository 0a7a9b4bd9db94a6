import Block
import ExceptionStore
import Restore
import SessionArchive
import StoreTesting
import SystemPackage
import Testing

// An archive in a store's place: restoring must not see the difference.
@Suite struct RestoreTests {
    let archives = Archives()

    /// Sessions of one origin, their stores in files.
    struct Sessions {
        /// The origin before each session, and after the last one.
        var states: [[UInt8]]
        var stores: [ClosedStore] = []
    }

    func sessions(_ count: Int, seed: UInt64) throws -> Sessions {
        var generator = SeededGenerator(seed: seed)
        // Zeros, text and random bytes in turn.
        var origin: [UInt8] = []
        for _ in 0..<30 {
            let filling = Filling.allCases.randomElement(using: &generator) ?? .zero
            origin += filling.bytes(Int.random(in: 1...9000, using: &generator), &generator)
        }
        var sessions = Sessions(states: [origin])
        for number in 0..<count {
            let chunkBytes = [512, 1024, 4096].randomElement(using: &generator) ?? 512
            var model = SnapshotModel(
                origin: sessions.states[number], chunkBytes: chunkBytes,
                seed: seed &+ UInt64(number) << 32)
            model.writeAtRandom(8)
            let path = try archives.file(model.image.bytes, "store-\(number)")
            sessions.stores.append(
                try ClosedStore(
                    path: path, originSize: ByteCount(UInt64(origin.count)), expecting: nil))
            sessions.states.append(model.origin)
        }
        return sessions
    }

    func archive(_ store: ClosedStore, _ number: Int) throws -> ArchiveReader {
        let path = try archives.path("archive-\(number)")
        try ArchiveFiles.create(
            source: store, metadata: "{}", at: path, options: ArchiveOptions(blockSize: 4096))
        return try ArchiveReader(path: path)
    }

    func restore(_ sources: [any ChunkSource], to state: [UInt8]) throws -> [UInt8] {
        let target = try archives.file(state, "target")
        let descriptor = try OwnedDescriptor.open(target, .readWrite)
        _ = try RestorePlan(sources: sources).run(
            on: descriptor, options: RestoreOptions(readBack: true, batchSize: 16384))
        return try TemporaryDirectory.contents(target)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func `an archive restores to the same bytes as its store`(seed: UInt64) throws {
        let sessions = try sessions(1, seed: seed)
        let fromStore = try restore([sessions.stores[0]], to: sessions.states[1])
        let fromArchive = try restore(
            [try archive(sessions.stores[0], 0)], to: sessions.states[1])
        let same = fromStore == fromArchive && fromArchive == sessions.states[0]
        #expect(same, "seed \(seed)")
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func `archives and stores can be mixed in a chain`(seed: UInt64) throws {
        let sessions = try sessions(6, seed: seed)
        for first in [0, 3, 5] {
            let sources = try (first..<6).map { number -> any ChunkSource in
                number % 2 == Int(seed % 2)
                    ? sessions.stores[number] : try archive(sessions.stores[number], number)
            }
            let restored = try restore(sources, to: sessions.states[6])
            let same = restored == sessions.states[first]
            #expect(same, "seed \(seed), session \(first)")
        }
    }

    @Test func `a damaged archive stops a restore before it began, naming the chunks`() throws {
        let sessions = try sessions(1, seed: 5)
        let path = try archive(sessions.stores[0], 0).path
        // In the first block.
        try TemporaryDirectory.patch(path, at: 200, [0xde, 0xad])
        let source = try ArchiveReader(path: path)
        let target = try archives.file(sessions.states[1], "target")
        let descriptor = try OwnedDescriptor.open(target, .readWrite)
        do {
            _ = try RestorePlan(sources: [source]).run(on: descriptor)
            Issue.record("restored")
        } catch {
            guard case .damaged(let damage) = error.reason,
                case .damaged(let cause)? = damage.first?.cause,
                let block = cause as? DamagedBlock
            else { throw error }
            #expect(!error.targetTouched)
            #expect(block.number == 0 && !block.chunks.ranges.isEmpty)
            #expect(error.description.contains("chunk"))
        }
        #expect(try TemporaryDirectory.contents(target) == sessions.states[1])
    }
}

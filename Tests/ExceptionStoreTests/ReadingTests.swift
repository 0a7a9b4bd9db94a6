import Block
@testable import ExceptionStore
import StoreTesting
import Testing

@Suite struct ReadingTests {
    @Test func `a store of one exception is read, byte for byte`() throws {
        var bytes = [UInt8](repeating: 0, count: 3 * 512)
        bytes.replaceSubrange(
            0..<16,
            with: [
                0x53, 0x6e, 0x41, 0x70, 1, 0, 0, 0, 1, 0, 0, 0,  // magic, valid, version
                1, 0, 0, 0,  // chunks of 1 sector
            ])
        bytes.replaceSubrange(
            512..<528,
            with: [
                0x05, 0x01, 0, 0, 0, 0, 0, 0,  // old chunk 261
                0x02, 0, 0, 0, 0, 0, 0, 0,  // new chunk 2: the first that holds data
            ])
        let contents = try contents(of: bytes, originSize: 262 * 512)
        #expect(!contents.isFresh)
        #expect(!contents.hasStaleTail)
        #expect(contents.nextFreeChunk == 3)
        #expect(contents.exceptions.chunkSize == .minimum)
        #expect(
            contents.exceptions.entries == [ExceptionEntry(originChunk: 261, storedChunk: 2)])
    }

    // Areas are read until one isn't full; a full one is followed by an empty one.
    @Test(arguments: [512, 4096], [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (2, 0), (2, 1)])
    func `stores of around one and two full areas are read whole`(
        chunkBytes: Int, areasAndMore: (Int, Int)
    ) throws {
        let perArea = chunkBytes / 16
        let count = areasAndMore.0 * perArea + areasAndMore.1
        let entries = plainEntries(count, perArea: perArea)
        let image = StoreImage(
            chunkBytes: chunkBytes, chunks: 4 + 3 * (perArea + 1), entries: entries)
        let contents = try contents(of: image, originChunks: 3 * count + 1)
        #expect(
            Array(contents.exceptions.entries)
                == entries.map { ExceptionEntry(originChunk: $0.old, storedChunk: $0.new) })
        // The chunk behind the last one, unless the next area is there.
        let behind = (entries.last?.new ?? 1) + 1
        let isArea = count > 0 && count.isMultiple(of: perArea)
        #expect(contents.nextFreeChunk == (isArea ? behind + 1 : behind))
    }

    // Chunks are handed out upwards, but commits come out of order, and a crash leaves holes.
    @Test func `holes and new chunks out of order are read`() throws {
        let image = StoreImage(
            chunkBytes: 512, chunks: 40,
            entries: [(old: 7, new: 30), (old: 0, new: 9), (old: 3, new: 33), (old: 2, new: 2)])
        let contents = try contents(of: image)
        #expect(
            contents.exceptions.entries == [
                ExceptionEntry(originChunk: 0, storedChunk: 9),
                ExceptionEntry(originChunk: 2, storedChunk: 2),
                ExceptionEntry(originChunk: 3, storedChunk: 33),
                ExceptionEntry(originChunk: 7, storedChunk: 30),
            ])
        // Highest new chunk + 1, moved past the area in chunk 34.
        #expect(contents.nextFreeChunk == 35)
        #expect(contents.exceptions.storedChunk(for: 3) == 33)
        #expect(contents.exceptions.storedChunk(for: 4) == nil)
        #expect(contents.exceptions.storedChunk(for: 8) == nil)
        let chunk = contents.exceptions.chunkSize.bytes.bytes
        #expect(contents.exceptions.touches(3 * chunk - 1..<3 * chunk + 1))
        #expect(contents.exceptions.touches(4 * chunk - 1..<4 * chunk))
        #expect(!contents.exceptions.touches(4 * chunk..<5 * chunk))
        #expect(!contents.exceptions.touches(3 * chunk..<3 * chunk))
        #expect(!contents.exceptions.touches(.max - 1 ..< .max))
    }

    @Test func `chunks in a row here and there are one run`() throws {
        let image = StoreImage(
            chunkBytes: 512, chunks: 40,
            entries: [
                (old: 4, new: 2), (old: 5, new: 3), (old: 6, new: 4),  // a run
                (old: 7, new: 6),  // a hole in the store
                (old: 9, new: 7),  // a hole in the origin
                (old: 10, new: 5),  // backwards in the store
            ])
        #expect(
            Array(try contents(of: image).exceptions.runs) == [
                ExceptionRun(originChunk: 4, storedChunk: 2, count: 3),
                ExceptionRun(originChunk: 7, storedChunk: 6, count: 1),
                ExceptionRun(originChunk: 9, storedChunk: 7, count: 1),
                ExceptionRun(originChunk: 10, storedChunk: 5, count: 1),
            ])
    }

    @Test func `the origin's short last chunk can have an exception`() throws {
        let image = StoreImage(chunkBytes: 4096, chunks: 3, entries: [(old: 2, new: 2)])
        let contents = try contents(of: image.bytes, originSize: 2 * 4096 + 1)
        #expect(contents.exceptions.count == 1)
    }

    // Merging zeroes entries from the end: what is left is a shorter valid store.
    @Test func `a store that was merged back to its first area is read`() throws {
        var image = StoreImage(
            chunkBytes: 512, chunks: 80, entries: plainEntries(40, perArea: 32))
        for index in 20..<40 { image.setEntry(index, old: 0, new: 0) }
        let contents = try contents(of: image)
        #expect(contents.exceptions.count == 20)
        #expect(!contents.hasStaleTail)
    }

    @Test func `areas larger than what is read at once are read whole`() throws {
        // Chunks of 2 MiB: an area is read in two parts.
        let chunkBytes = 2 << 20
        let count = (1 << 20) / 16 + 1
        let directory = try TemporaryDirectory()
        var image = StoreImage(chunkBytes: chunkBytes, chunks: 2)
        image.writeHeader()
        for index in 0..<count {
            image.setEntry(index, old: UInt64(index), new: UInt64(index + 2))
        }
        let file = try directory.sparseFile(
            "store", image.bytes, size: Int64(chunkBytes * (count + 2)))
        // As on a file system that knows no holes: the data would be 128 GiB.
        let store = try OwnedDescriptor.open(file, .readOnly)
        let contents = try StoreContents.read(
            store, originSize: ByteCount(1 << 40), expecting: nil, believingHoles: false)
        #expect(contents.exceptions.count == count)
        #expect(Array(contents.exceptions.runs).count == 1)
    }

    // Random commits, losses, sizes: what the model of the kernel has committed is what is read.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func `whatever the kernel's model writes is read`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let origin = generator.bytes(Int.random(in: 1...60_000, using: &generator))
        var model = SnapshotModel(
            origin: origin, chunkBytes: 512 << Int.random(in: 0...4, using: &generator),
            seed: seed)
        model.writeAtRandom(20)
        let contents = try contents(of: model.image.bytes, originSize: UInt64(origin.count))
        #expect(contents.exceptions.count == model.committed, "seed \(seed)")
    }

    @Test(
        "Of a store in use the first exceptions are read, whatever has come behind them",
        arguments: [0, 1, 31, 32, 33, 64])
    func first(count: Int) throws {
        var generator = SeededGenerator(seed: 11)
        let origin = generator.bytes(200 * 512)
        var model = SnapshotModel(origin: origin, chunkBytes: 512, lossy: false, seed: 3)
        for chunk in 0..<count { model.write([0], at: (199 - chunk) * 512) }
        let before = try contents(of: model.image.bytes, originSize: UInt64(origin.count))
        for chunk in 0..<50 { model.write([0], at: chunk * 512) }
        // One that is being written.
        var image = model.image.bytes
        image.replaceSubrange(
            image.count - 512..<image.count, with: repeatElement(0xff, count: 512))
        let directory = try TemporaryDirectory()
        let store = try OwnedDescriptor.open(directory.file("store", image), .readOnly)
        func first(_ count: Int) throws -> ExceptionTable {
            try StoreContents.read(
                store, originSize: ByteCount(UInt64(origin.count)), expecting: nil,
                first: UInt64(count)
            ).exceptions
        }
        #expect(before.exceptions.count == count)
        #expect(try first(count).entries == before.exceptions.entries)
        #expect(try first(1000).count == count + 50)
    }
}

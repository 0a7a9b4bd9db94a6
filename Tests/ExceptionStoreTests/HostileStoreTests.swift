import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

// The kernel checks no entry. All of these load in a kernel.
@Suite struct HostileStoreTests {
    static func image(_ entries: [(old: UInt64, new: UInt64)]) -> StoreImage {
        StoreImage(chunkBytes: 512, chunks: 100, entries: entries)
    }

    static func expect(
        _ entries: [(old: UInt64, new: UInt64)], _ error: ExceptionStoreError,
        originChunks: Int = 1000
    ) {
        #expect(throws: error) { try contents(of: image(entries), originChunks: originChunks) }
        #expect(!error.description.isEmpty)
    }

    @Test func `two entries for one chunk of the origin are refused`() {
        Self.expect([(5, 2), (6, 3), (5, 4)], .duplicateOriginChunk(5))
    }

    @Test func `two entries with one chunk of the store are refused`() {
        Self.expect([(5, 2), (6, 3), (7, 2)], .duplicateStoredChunk(2))
    }

    @Test(arguments: [1000, 1 << 56, 1 << 60, .max] as [UInt64])
    func `an old chunk behind the origin's end is refused`(old: UInt64) {
        Self.expect(
            [(5, 2), (old, 3)],
            .entry(
                ExceptionEntry(originChunk: old, storedChunk: 3), number: 1,
                .originChunkPastEnd(originChunks: 1000)))
    }

    @Test(arguments: [100, 1 << 40, 1 << 56, .max] as [UInt64])
    func `a new chunk behind the store's end is refused`(new: UInt64) {
        Self.expect(
            [(5, 2), (6, new)],
            .entry(
                ExceptionEntry(originChunk: 6, storedChunk: new), number: 1,
                .storedChunkPastEnd(storeChunks: 100)))
    }

    @Test(arguments: [1, 34, 67] as [UInt64])
    func `a new chunk that is an area is refused`(new: UInt64) {
        Self.expect(
            [(5, new)],
            .entry(
                ExceptionEntry(originChunk: 5, storedChunk: new), number: 0,
                .storedChunkIsMetadata))
    }

    @Test func `more entries than the origin has chunks are refused before any is kept`() {
        Self.expect(
            (0..<20).map { (old: $0 % 10, new: $0 + 2) }, .tooManyExceptions(limit: 10),
            originChunks: 10)
    }

    // 1 + (E + 1) × k chunks: the kernel invalidates such a store before its last area fills.
    @Test func `a full last area at the store's end is refused`() {
        let image = StoreImage(chunkBytes: 512, chunks: 34, entries: plainEntries(32, perArea: 32))
        #expect(throws: ExceptionStoreError.areaPastEnd(area: 1, storeChunks: 34)) {
            try contents(of: image)
        }
    }

    @Test func `areas that go on past the end are refused`() {
        let image = StoreImage(chunkBytes: 512, chunks: 100, entries: plainEntries(96, perArea: 32))
        #expect(throws: ExceptionStoreError.areaPastEnd(area: 3, storeChunks: 100)) {
            try contents(of: image)
        }
    }

    @Test func `a store cut inside its header is refused`() {
        #expect(
            throws: ExceptionStoreError.truncated(needed: ByteCount(512), size: ByteCount(100))
        ) {
            try contents(of: [UInt8](Self.image([]).bytes[..<100]), originSize: 512_000)
        }
        #expect(throws: ExceptionStoreError.truncated(needed: ByteCount(512), size: ByteCount(0))) {
            try contents(of: [], originSize: 512_000)
        }
    }

    @Test(arguments: [512, 1023])
    func `a store cut before its first area's end is refused`(size: Int) {
        #expect(throws: ExceptionStoreError.areaPastEnd(area: 0, storeChunks: 1)) {
            try contents(of: [UInt8](Self.image([]).bytes[..<size]), originSize: 512_000)
        }
    }

    @Test func `a store cut inside the last exception's data is refused`() {
        let bytes = [UInt8](Self.image([(5, 2), (6, 3)]).bytes[..<(4 * 512 - 1)])
        #expect(
            throws: ExceptionStoreError.entry(
                ExceptionEntry(originChunk: 6, storedChunk: 3), number: 1,
                .storedChunkPastEnd(storeChunks: 3))
        ) { try contents(of: bytes, originSize: 512_000) }
    }

    @Test func `a chunk size other than the one expected is refused`() throws {
        let expected = try chunkSize(1024)
        #expect(
            throws: ExceptionStoreError.chunkSizeDiffers(found: .minimum, expected: expected)
        ) { try contents(of: Self.image([(5, 2)]), expecting: expected) }
    }

    // Sparse, so that a reader that believed its size would never end or need all memory.
    @Test func `a sparse store of 2 TiB with rubbish in front is refused at once`() throws {
        let directory = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 1)
        let rubbish = try directory.sparseFile(
            "rubbish", generator.bytes(1 << 16), size: 2 << 40)
        #expect(throws: ExceptionStoreError.self) {
            try contents(at: rubbish, originSize: 2 << 40)
        }
        var image = StoreImage(chunkBytes: 512, chunks: 200, filling: generator.bytes(200 * 512))
        image.writeHeader()
        let goodHeader = try directory.sparseFile("header", image.bytes, size: 2 << 40)
        #expect(throws: ExceptionStoreError.self) {
            try contents(at: goodHeader, originSize: 2 << 40)
        }
        image.writeHeader(chunkSectors: 1 << 21)
        let largest = try directory.sparseFile("largest", image.bytes, size: 2 << 40)
        // Area 0 is in the hole: a gigabyte of zeros would be read.
        #expect(throws: ExceptionStoreError.hole(at: 1 << 30, in: .area(0))) {
            try contents(at: largest, originSize: 2 << 40)
        }
    }

    @Test func `a valid sparse store of 2 TiB is read`() throws {
        let directory = try TemporaryDirectory()
        let entries: [(old: UInt64, new: UInt64)] = [(0, 2), ((1 << 32) - 1, 1 << 31)]
        var generator = SeededGenerator(seed: 2)
        let image = StoreImage(chunkBytes: 512, chunks: 3, entries: entries)
        let file = try directory.sparseFile("store", image.bytes, size: 2 << 40)
        try TemporaryDirectory.patch(file, at: 1 << 40, generator.bytes(512))
        #expect(try contents(at: file, originSize: 2 << 40).exceptions.count == 2)
    }

    // With nobody at the FIFO's other end, opening it would wait for ever.
    @Test func `what is no file in the place of a store is refused at once`() throws {
        let directory = try TemporaryDirectory()
        let others: [(FilePath, String)] = try [
            (directory.fifo("fifo"), "a FIFO"), (directory.path, "a directory"),
            ("/dev/null", "a character device"),
        ]
        for (path, kind) in others {
            #expect(throws: ExceptionStoreError.notAFile(kind)) {
                try ClosedStore(path: path, originSize: ByteCount(1), expecting: nil)
            }
        }
    }

    @Test func `a store that isn't there is an error of the system`() {
        #expect {
            try ClosedStore(path: "/nowhere/store", originSize: ByteCount(1), expecting: nil)
        } throws: { error in
            guard case ExceptionStoreError.system(let cause) = error else { return false }
            return cause.errno == .noSuchFileOrDirectory
        }
    }
}

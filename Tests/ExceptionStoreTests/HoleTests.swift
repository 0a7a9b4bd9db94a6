import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

// The kernel writes whatever a store refers to, so a hole under it is damage.
@Suite struct HoleTests {
    static let chunk = 4096
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A store with a full area and `more` exceptions behind it, all of it written.
    private func image(more: Int = 5, filling: Bool = true) -> StoreImage {
        let count = Self.chunk / 16 + more
        var image = StoreImage(
            chunkBytes: Self.chunk, chunks: count + 4,
            entries: plainEntries(count, perArea: Self.chunk / 16))
        var generator = SeededGenerator(seed: 1)
        guard filling else { return image }
        for index in 0..<count {
            image.setChunk(
                2 + index + index / image.perArea, generator.bytes(Self.chunk))
        }
        return image
    }

    private func read(_ file: FilePath) throws -> StoreContents {
        try contents(at: file, originSize: UInt64(10_000 * Self.chunk))
    }

    private func chunk(_ number: Int, _ count: Int = 1) -> Range<Int> {
        number * Self.chunk..<(number + count) * Self.chunk
    }

    @Test(arguments: [true, false])
    func `a store that was written wholly is read, be it zeros`(filling: Bool) throws {
        let file = try directory.file("store", image(filling: filling).bytes)
        #expect(try read(file).exceptions.count == 261)
    }

    @Test(arguments: [2, 100, 257, 259, 263])
    func `a hole under the contents of one exception is found`(number: Int) throws {
        let file = try directory.file("store", image().bytes)
        try TemporaryDirectory.punch(file, chunk(number))
        let index = number - 2 - number / 258
        let entry = ExceptionEntry(originChunk: UInt64(3 * index), storedChunk: UInt64(number))
        #expect(
            throws: ExceptionStoreError.hole(
                at: UInt64(chunk(number).lowerBound), in: .contents(of: entry))
        ) { try read(file) }
    }

    @Test func `a hole under a chunk that no exception has is none`() throws {
        var image = image()
        image.setEntry(256 + 4, old: 0, new: 0)
        let file = try directory.file("store", image.bytes)
        try TemporaryDirectory.punch(file, chunk(263))
        #expect(try read(file).exceptions.count == 260)
    }

    // Read as zeros, it would be the end of the list, and the session shorter than it was.
    @Test(arguments: [0, 1]) func `a hole under an area is found`(area: Int) throws {
        let image = image()
        let file = try directory.file("store", image.bytes)
        let start = image.areaOffset(area)
        try TemporaryDirectory.punch(file, start..<start + Self.chunk)
        #expect(
            throws: ExceptionStoreError.hole(at: UInt64(start), in: .area(UInt64(area)))
        ) { try read(file) }
    }

    @Test(arguments: [100, 258, 260])
    func `a store cut short and made long again is found`(chunks: Int) throws {
        let image = image()
        let file = try directory.file("store", image.bytes)
        try TemporaryDirectory.resize(file, to: Int64(chunks * Self.chunk))
        try TemporaryDirectory.resize(file, to: Int64(image.bytes.count))
        #expect {
            try read(file)
        } throws: {
            guard case ExceptionStoreError.hole(let offset, _) = $0 else { return false }
            return offset >= UInt64(chunks * Self.chunk)
        }
    }

    // A crash leaves such a store while it is being made, so only whoever knows that a table was
    // loaded on it can call it damaged.
    @Test func `a store of nothing but a hole is fresh, and was never prepared`() throws {
        let size = try chunkSize(UInt64(Self.chunk))
        let file = try directory.sparseFile("store", [], size: 1 << 20)
        for expected in [nil, size] {
            let contents = try contents(at: file, originSize: 1 << 20, expecting: expected)
            #expect(contents.isFresh && !contents.wasPrepared)
        }
        try StorePreparation.prepareFresh(OwnedDescriptor.open(file, .readWrite), chunkSize: size)
        let prepared = try contents(at: file, originSize: 1 << 20, expecting: size)
        #expect(prepared.isFresh && prepared.wasPrepared)
        try TemporaryDirectory.punch(file, chunk(1))
        let half = try contents(at: file, originSize: 1 << 20, expecting: size)
        #expect(half.isFresh && !half.wasPrepared)
    }

    @Test func `what a short last chunk lacks behind the origin's end may be a hole`() throws {
        let chunkBytes = 4 * Self.chunk
        var image = StoreImage(chunkBytes: chunkBytes, chunks: 3, entries: [(9, 2)])
        image.setChunk(2, [UInt8](repeating: 7, count: 100))
        let file = try directory.file("store", image.bytes)
        try TemporaryDirectory.punch(
            file, 2 * chunkBytes + Self.chunk..<3 * chunkBytes)
        let short = UInt64(9 * chunkBytes + 100)
        #expect(try contents(at: file, originSize: short).exceptions.count == 1)
        #expect(throws: ExceptionStoreError.self) {
            try contents(at: file, originSize: UInt64(10 * chunkBytes))
        }
    }

    @Test func `a closed store with a hole gives nothing at all`() throws {
        let file = try directory.file("store", image().bytes)
        try TemporaryDirectory.punch(file, chunk(50, 3))
        #expect(throws: ExceptionStoreError.self) {
            try ClosedStore(
                path: file, originSize: ByteCount(UInt64(10_000 * Self.chunk)), expecting: nil)
        }
    }

    @Test(arguments: [0, 1, 255, 256, 257])
    func `a store that is written whole has no hole where the kernel has none`(
        count: Int
    ) throws {
        let path = directory.path.appending("written")
        var writer = try StoreWriter(
            OwnedDescriptor.create(path), chunkSize: chunkSize(UInt64(Self.chunk)),
            exceptions: UInt64(count))
        var generator = SeededGenerator(seed: 3)
        let data = generator.bytes(count * Self.chunk)
        try writer.append(data.span, at: 0)
        try writer.finish()
        #expect(try read(path).exceptions.count == count)
    }
}

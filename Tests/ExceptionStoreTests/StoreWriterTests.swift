import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

/// Stores written whole, held against images put together by hand.
@Suite struct StoreWriterTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Writes chunks of these numbers, each with contents of its own, `piece` bytes at a time where
    /// chunks follow each other.
    private func write(
        _ chunks: [UInt64], chunkBytes: Int, piece: Int? = nil, lastBytes: Int? = nil
    ) throws -> (path: FilePath, data: [[UInt8]]) {
        var generator = SeededGenerator(seed: UInt64(chunks.count))
        var data = chunks.map { _ in generator.bytes(chunkBytes) }
        if let lastBytes { data[data.count - 1].removeLast(chunkBytes - lastBytes) }
        let path = directory.path.appending("store-\(chunks.count)-\(chunkBytes)")
        var writer = try StoreWriter(
            OwnedDescriptor.create(path), chunkSize: chunkSize(UInt64(chunkBytes)),
            exceptions: UInt64(chunks.count))
        var index = 0
        while index < chunks.count {
            var end = index + 1
            while end < chunks.count, chunks[end] == chunks[end - 1] + 1 { end += 1 }
            let run = data[index..<end].flatMap(\.self)
            for start in stride(from: 0, to: run.count, by: piece ?? run.count) {
                let part = Array(run[start..<min(start + (piece ?? run.count), run.count)])
                try writer.append(
                    part.span, at: chunks[index] * UInt64(chunkBytes) + UInt64(start))
            }
            index = end
        }
        try writer.finish()
        return (path, data)
    }

    // E is 32 for 512-byte chunks: a full area, one less, one more, several.
    @Test(
        "What is written is what the kernel would have, entry by entry",
        arguments: [1, 2, 31, 32, 33, 64, 65, 100], [nil, 512, 300, 5000])
    func image(count: Int, piece: Int?) throws {
        let chunks = (0..<count).map { UInt64($0 < count / 2 ? $0 : 2 * $0 + 1) }
        let (path, data) = try write(chunks, chunkBytes: 512, piece: piece)
        let total = 2 + count + count / 32
        var image = StoreImage(
            chunkBytes: 512, chunks: total,
            entries: chunks.enumerated().map { ($1, UInt64(2 + $0 + $0 / 32)) })
        for (index, bytes) in data.enumerated() { image.setChunk(2 + index + index / 32, bytes) }
        #expect(try TemporaryDirectory.contents(path) == image.bytes)
        #expect(
            !StoreGeometry.endsOnAreaBoundary(
                ByteCount(UInt64(total * 512)), chunkSize: try chunkSize(512)))
        let read = try contents(at: path, originSize: 400 * 512, expecting: try chunkSize(512))
        #expect(read.exceptions.entries.map(\.originChunk) == chunks)
        #expect(!read.hasStaleTail && !read.isFresh)
        #expect(read.nextFreeChunk == UInt64(total))
    }

    @Test("The origin's last chunk may be short")
    func short() throws {
        let (path, data) = try write([0, 7], chunkBytes: 4096, lastBytes: 512)
        let bytes = try TemporaryDirectory.contents(path)
        #expect(bytes.count == 4 * 4096)
        #expect(Array(bytes[3 * 4096..<3 * 4096 + 512]) == data[1])
        let read = try contents(at: path, originSize: 7 * 4096 + 512)
        #expect(read.exceptions.count == 2)
    }

    @Test("What is out of order, too much or too little is refused")
    func refusals() throws {
        let size = try chunkSize(512)
        let bytes = [UInt8](repeating: 1, count: 512)
        func writer(_ name: String) throws -> StoreWriter {
            try StoreWriter(
                OwnedDescriptor.create(directory.path.appending(name)), chunkSize: size,
                exceptions: 2)
        }
        var first = try writer("first")
        try first.append(bytes.span, at: 1024)
        #expect(throws: ExceptionStoreError.outOfOrder(originOffset: 100)) {
            try first.append(bytes.span, at: 100)
        }
        #expect(throws: ExceptionStoreError.outOfOrder(originOffset: 1024)) {
            try first.append(bytes.span, at: 1024)
        }
        #expect(throws: ExceptionStoreError.outOfOrder(originOffset: 512)) {
            try first.append(bytes.span, at: 512)
        }
        try first.append(bytes.span, at: 2048)
        #expect(throws: ExceptionStoreError.tooManyExceptions(limit: 2)) {
            try first.append(bytes.span, at: 4096)
        }
        try first.finish()
        #expect(throws: ExceptionStoreError.tooFewExceptions(1, wanted: 2)) {
            var second = try writer("second")
            try second.append(bytes.span, at: 0)
            try second.finish()
        }
    }
}

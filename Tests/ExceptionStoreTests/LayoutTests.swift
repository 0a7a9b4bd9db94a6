import Block
import ExceptionStore
import Testing

@Suite struct LayoutTests {
    // Chunk 1, E + 2, 2E + 3 …
    @Test func `areas are where the kernel puts them`() throws {
        let layout = AreaLayout(chunkSize: try chunkSize(4096))
        #expect((0..<4).map { layout.chunk(ofArea: $0) } == [1, 258, 515, 772])
        #expect((0..<520).filter(layout.isArea) == [1, 258, 515])
        #expect(!layout.isData(0) && !layout.isData(1) && layout.isData(2))
        #expect(layout.isData(257) && !layout.isData(258) && layout.isData(259))
    }

    @Test func `an area whose chunk overflows has none`() {
        let layout = AreaLayout(chunkSize: .minimum)
        let last = (UInt64.max - 1) / 33
        #expect(layout.chunk(ofArea: last) == last * 33 + 1)
        #expect(layout.chunk(ofArea: last + 1) == nil)
        #expect(layout.chunk(ofArea: .max) == nil)
        #expect(layout.dataChunk(after: .max) == nil)
    }

    @Test func `the chunk handed out next is never an area`() throws {
        let layout = AreaLayout(chunkSize: try chunkSize(4096))
        #expect(layout.dataChunk(after: 0) == 2)
        #expect(layout.dataChunk(after: 2) == 3)
        #expect(layout.dataChunk(after: 257) == 259)
    }
}

@Suite struct GeometryTests {
    /// What the kernel does with a store of `chunks` chunks until it fails: how many exceptions.
    static func capacity(ofChunks chunks: UInt64, perArea: UInt64) -> UInt64 {
        var nextFree: UInt64 = 2
        var exceptions: UInt64 = 0
        // persistent_prepare_exception: no room when size < (next_free + 1) × chunk size.
        while nextFree + 1 <= chunks {
            nextFree += 1
            if (nextFree - 1).isMultiple(of: perArea + 1) { nextFree += 1 }
            // persistent_commit_exception: the area becomes full, so the next one is zeroed; that
            // fails where it lies behind the end.
            if (exceptions + 1).isMultiple(of: perArea) {
                let nextArea = 1 + (exceptions + 1) / perArea * (perArea + 1)
                if nextArea + 1 > chunks { return exceptions }
            }
            exceptions += 1
        }
        return exceptions
    }

    // 258 chunks of 4 KiB hold 255, 259 hold 256: seen on a real kernel.
    @Test func `the model of the kernel knows what was seen on a kernel`() {
        #expect(Self.capacity(ofChunks: 258, perArea: 256) == 255)
        #expect(Self.capacity(ofChunks: 259, perArea: 256) == 256)
        #expect(Self.capacity(ofChunks: 3, perArea: 256) == 1)
    }

    @Test func `a store for every chunk is just large enough, and never ends on an area's border`()
        throws
    {
        for chunks in 1...200 as ClosedRange<UInt64> {
            let size = try StoreGeometry.bytesNeeded(
                originSize: ByteCount(chunks * 512 - 1), chunkSize: .minimum)
            let storeChunks = size.bytes / 512
            #expect(Self.capacity(ofChunks: storeChunks, perArea: 32) == chunks)
            #expect(Self.capacity(ofChunks: storeChunks - 1, perArea: 32) < chunks)
            #expect((storeChunks - 1) % 33 != 0)
            #expect(!StoreGeometry.endsOnAreaBoundary(size, chunkSize: .minimum))
        }
    }

    @Test func `an origin without chunks gets the smallest store that holds anything`() throws {
        let size = try StoreGeometry.bytesNeeded(originSize: ByteCount(0), chunkSize: .minimum)
        #expect(size == ByteCount(3 * 512))
    }

    @Test func `spare chunks count like the origin's`() throws {
        let size = try StoreGeometry.bytesNeeded(
            originSize: ByteCount(200 * 4096), chunkSize: try chunkSize(4096), spareChunks: 56)
        #expect(size == ByteCount(259 * 4096))
    }

    @Test func `an origin of 16 PiB has a size for its store at every chunk size`() throws {
        let origin = ByteCount(1 << 54)
        let smallest = try StoreGeometry.bytesNeeded(originSize: origin, chunkSize: .minimum)
        // 2⁴⁵ chunks, 2⁴⁰ full areas, the empty one behind them, the header.
        #expect(smallest == ByteCount(((1 << 45) + (1 << 40) + 2) * 512))
        for shift in 1...21 {
            let size = try StoreGeometry.bytesNeeded(
                originSize: origin, chunkSize: try ChunkSize(SectorCount(1 << UInt64(shift))))
            #expect(size > origin)
        }
    }

    @Test func `a store that no file can be is refused`() {
        for size in [UInt64.max, UInt64(Int64.max)] {
            #expect(throws: ExceptionStoreError.sizeOverflow) {
                try StoreGeometry.bytesNeeded(originSize: ByteCount(size), chunkSize: .minimum)
            }
        }
        #expect(throws: ExceptionStoreError.sizeOverflow) {
            try StoreGeometry.bytesNeeded(
                originSize: ByteCount(1), chunkSize: .minimum, spareChunks: .max)
        }
    }

    @Test func `a limit is kept, in whole chunks, off the border`() throws {
        let size = try chunkSize(4096)
        func largest(_ limit: UInt64) throws -> UInt64 {
            try StoreGeometry.largestSize(notOver: ByteCount(limit), chunkSize: size).bytes
        }
        #expect(try largest(257 * 4096) == 257 * 4096)
        #expect(try largest(258 * 4096) == 257 * 4096)
        #expect(try largest(259 * 4096 + 4095) == 259 * 4096)
        #expect(
            throws: ExceptionStoreError.storeTooSmall(
                size: ByteCount(3 * 4096 - 1), needed: ByteCount(3 * 4096))
        ) { try largest(3 * 4096 - 1) }
    }
}

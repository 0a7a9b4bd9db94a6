import Block
import ExceptionStore
import Testing

@Suite struct HeaderTests {
    /// The header of a valid store with chunks of 8 sectors, byte for byte.
    static let good: [UInt8] = [
        0x53, 0x6e, 0x41, 0x70,  // magic: "SnAp" in memory order
        0x01, 0x00, 0x00, 0x00,  // valid
        0x01, 0x00, 0x00, 0x00,  // version
        0x08, 0x00, 0x00, 0x00,  // chunk size in sectors
    ]

    static func changed(_ offset: Int, _ bytes: [UInt8]) -> [UInt8] {
        var header = good
        header.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        return header
    }

    @Test func `the kernel's header is read`() throws {
        let header = try StoreHeader.read(from: Self.good.span)
        #expect(header == StoreHeader(chunkSize: try chunkSize(4096)))
    }

    @Test func `a header is written as the kernel writes it`() throws {
        var bytes = [UInt8](repeating: 0xff, count: 18)
        var span = bytes.mutableSpan
        let written = StoreHeader(chunkSize: try chunkSize(4096)).write(into: &span)
        #expect(written)
        #expect(bytes == Self.good + [0xff, 0xff])
    }

    @Test func `every chunk size comes back from a written header`() throws {
        for shift in 0...21 {
            let header = StoreHeader(chunkSize: try ChunkSize(SectorCount(1 << UInt64(shift))))
            var bytes = [UInt8](repeating: 0, count: 16)
            var span = bytes.mutableSpan
            let written = header.write(into: &span)
            #expect(written)
            #expect(try StoreHeader.read(from: bytes.span) == header)
        }
    }

    @Test func `a header of less than 16 bytes is refused and never written`() {
        var bytes = [UInt8](repeating: 0, count: 15)
        #expect(throws: ExceptionStoreError.truncated(needed: ByteCount(16), size: ByteCount(15))) {
            try StoreHeader.read(from: bytes.span)
        }
        var span = bytes.mutableSpan
        let written = StoreHeader(chunkSize: .minimum).write(into: &span)
        #expect(!written)
        #expect(bytes == [UInt8](repeating: 0, count: 15))
    }

    // The kernel initialises a store whose magic number is 0.
    @Test func `an empty header is a fresh store's`() throws {
        #expect(try StoreHeader.read(from: [UInt8](repeating: 0, count: 16).span) == nil)
    }

    @Test func `a magic number of 0 before other numbers is refused`() {
        #expect(throws: ExceptionStoreError.freshHeaderOverData) {
            try StoreHeader.read(from: Self.changed(0, [0, 0, 0, 0]).span)
        }
    }

    @Test func `another magic number is refused`() {
        #expect(throws: ExceptionStoreError.notAStore(magic: 0x7041_6e52)) {
            try StoreHeader.read(from: Self.changed(0, [0x52]).span)
        }
    }

    // The kernel writes 0 when it drops a snapshot; it takes anything else for valid, but only
    // ever writes 1.
    @Test(arguments: [0, 2, 0x8000_0001] as [UInt32])
    func `a valid flag other than 1 means invalidated`(valid: UInt32) {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: valid >> (8 * $0)) }
        #expect(throws: ExceptionStoreError.invalidated(valid: valid)) {
            try StoreHeader.read(from: Self.changed(4, bytes).span)
        }
    }

    @Test(arguments: [0, 2] as [UInt8])
    func `a version other than 1 is refused`(version: UInt8) {
        #expect(throws: ExceptionStoreError.unknownVersion(UInt32(version))) {
            try StoreHeader.read(from: Self.changed(8, [version]).span)
        }
    }

    // The kernel refuses 0 and numbers that are no power of two on disk.
    @Test func `chunk sizes that the kernel refuses are refused`() {
        let hostile: [([UInt8], ChunkSizeFault)] = [
            ([0, 0, 0, 0], .zero),
            ([7, 0, 0, 0], .notPowerOfTwo(SectorCount(7))),
            ([0, 0, 0, 0x80], .tooLarge),  // 2³¹
            ([0, 0, 0x40, 0], .tooLarge),  // 2²²
        ]
        for (bytes, fault) in hostile {
            #expect(throws: ExceptionStoreError.chunkSize(fault)) {
                try StoreHeader.read(from: Self.changed(12, bytes).span)
            }
        }
    }
}

import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@Suite struct FreshStoreTests {
    // A table that was never loaded, or a store just prepared.
    @Test func `an empty store has no exceptions and the expected chunk size`() throws {
        let image = StoreImage(chunkBytes: 4096, chunks: 4)
        let contents = try contents(of: image, expecting: chunkSize(4096))
        #expect(contents.isFresh)
        #expect(contents.exceptions.count == 0)
        #expect(contents.exceptions.chunkSize == (try chunkSize(4096)))
        #expect(contents.nextFreeChunk == 2)
    }

    @Test func `an empty store of unknown chunk size has the kernel's default`() throws {
        let contents = try contents(of: StoreImage(chunkBytes: 4096, chunks: 4))
        #expect(contents.isFresh)
        #expect(contents.exceptions.chunkSize == .kernelDefault)
    }

    // The header is on stable storage before the first exception is, so it was lost.
    @Test func `entries behind an empty header are refused`() throws {
        for entry in [(old: 0, new: 2), (old: 1 << 60, new: 1 << 40)] as [(UInt64, UInt64)] {
            var image = StoreImage(chunkBytes: 4096, chunks: 4)
            image.setEntry(0, old: entry.0, new: entry.1)
            #expect(throws: ExceptionStoreError.freshHeaderOverData) {
                try contents(of: image, expecting: chunkSize(4096))
            }
        }
        var image = StoreImage(chunkBytes: 4096, chunks: 4)
        image.setEntry(9, old: 0, new: 2)
        #expect(throws: ExceptionStoreError.freshHeaderOverData) {
            try contents(of: image, expecting: chunkSize(4096))
        }
        image = StoreImage(chunkBytes: 4096, chunks: 4)
        image.bytes[511] = 1
        #expect(throws: ExceptionStoreError.freshHeaderOverData) { try contents(of: image) }
    }

    // Loading writes the header and zeroes area 0 without a flush between: a cut there leaves a
    // good header over what was in chunk 1 before.
    @Test func `a prepared store holds nothing of what was there, whatever a power cut leaves`()
        throws
    {
        let entries = plainEntries(300, perArea: 256)
        var old = StoreImage(chunkBytes: 4096, chunks: 600, entries: entries)
        old.setChunk(2, [UInt8](repeating: 7, count: 4096))
        let directory = try TemporaryDirectory()
        let file = try directory.file("store", old.bytes)
        let size = try chunkSize(4096)
        let store = try OwnedDescriptor.open(file, .readWrite)
        try StorePreparation.prepareFresh(store, chunkSize: size)

        var left = StoreImage(
            chunkBytes: 4096, chunks: 600, filling: try TemporaryDirectory.contents(file))
        #expect(left.bytes[..<8192].allSatisfy { $0 == 0 })
        #expect(left.bytes[8192...] == old.bytes[8192...])
        #expect(try contents(of: left, expecting: size).isFresh)
        left.writeHeader()
        #expect(try contents(of: left, expecting: size).exceptions.count == 0)
    }

    @Test func `chunks larger than what is written at once are emptied whole`() throws {
        let chunkBytes = 1 << 20
        let directory = try TemporaryDirectory()
        let file = try directory.file("store", [UInt8](repeating: 1, count: 3 * chunkBytes))
        let store = try OwnedDescriptor.open(file, .readWrite)
        try StorePreparation.prepareFresh(store, chunkSize: chunkSize(UInt64(chunkBytes)))
        let left = try TemporaryDirectory.contents(file)
        #expect(left.firstIndex(of: 1) == 2 * chunkBytes)
    }

    @Test func `a store of less than three chunks is not prepared`() throws {
        let directory = try TemporaryDirectory()
        let bytes = [UInt8](repeating: 1, count: 3 * 4096 - 1)
        let file = try directory.file("store", bytes)
        let store = try OwnedDescriptor.open(file, .readWrite)
        let expected = ExceptionStoreError.storeTooSmall(
            size: ByteCount(12287), needed: ByteCount(12288))
        do {
            try StorePreparation.prepareFresh(store, chunkSize: chunkSize(4096))
            Issue.record("prepared")
        } catch let error as ExceptionStoreError {
            #expect(error == expected)
        }
        #expect(try TemporaryDirectory.contents(file) == bytes)
    }

    @Test func `a store that can't be written is reported with the system's error`() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("store", [UInt8](repeating: 0, count: 3 * 4096))
        let store = try OwnedDescriptor.open(file, .readOnly)
        do {
            try StorePreparation.prepareFresh(store, chunkSize: chunkSize(4096))
            Issue.record("prepared")
        } catch ExceptionStoreError.system(let error) {
            #expect(error.errno == .badFileDescriptor)
            #expect(error.path == file.string)
        }
    }
}

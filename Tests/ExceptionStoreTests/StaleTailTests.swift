import Block
import ExceptionStore
import StoreTesting
import Testing

// Entries behind the one that ends the list are not read by the kernel either, but come back to
// life when new exceptions fill the gap.
@Suite struct StaleTailTests {
    static func image(_ entries: Int, tailAt: Int) -> StoreImage {
        var image = StoreImage(
            chunkBytes: 512, chunks: 80, entries: plainEntries(entries, perArea: 32))
        image.setEntry(tailAt, old: 1 << 60, new: 1 << 40)
        return image
    }

    @Test(arguments: [(0, 1), (5, 6), (5, 31), (32, 33), (32, 63)])
    func `rubbish behind the end is seen, but never read as exceptions`(
        entries: Int, tailAt: Int
    ) throws {
        let contents = try contents(of: Self.image(entries, tailAt: tailAt))
        #expect(contents.exceptions.count == entries)
        #expect(contents.hasStaleTail)
    }

    @Test func `an entry that ends the list but is not empty counts as rubbish`() throws {
        var image = Self.image(5, tailAt: 7)
        image.setEntry(7, old: 0, new: 0)
        image.setEntry(5, old: 9, new: 0)
        #expect(try contents(of: image).hasStaleTail)
    }

    @Test func `rubbish in areas behind the last one doesn't matter`() throws {
        // Entry 40 is in area 1, which the kernel zeroes before area 0 gets full.
        let contents = try contents(of: Self.image(5, tailAt: 40))
        #expect(contents.exceptions.count == 5)
        #expect(!contents.hasStaleTail)
    }

    @Test(arguments: [(0, 1), (5, 31), (32, 33)])
    func `clearing removes the rubbish and nothing else`(entries: Int, tailAt: Int) throws {
        let image = Self.image(entries, tailAt: tailAt)
        let directory = try TemporaryDirectory()
        let file = try directory.file("store", image.bytes)
        let store = try OwnedDescriptor.open(file, .readWrite)
        func read(_ store: borrowing OwnedDescriptor) throws -> StoreContents {
            try StoreContents.read(store, originSize: ByteCount(512_000), expecting: nil)
        }
        let before = try read(store)
        #expect(try StorePreparation.clearStaleTail(store, contents: before))
        var expected = image
        expected.setEntry(tailAt, old: 0, new: 0)
        #expect(try TemporaryDirectory.contents(file) == expected.bytes)
        let after = try read(store)
        #expect(after.exceptions.entries == before.exceptions.entries)
        #expect(try !StorePreparation.clearStaleTail(store, contents: after))
    }
}

import Block
import DeviceMapper
import ExceptionStore
import Restore
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ComposedStoreTests {
    private let index = DeviceNumber(major: 7, minor: 1)
    private let parts = [DeviceNumber(major: 7, minor: 2), DeviceNumber(major: 7, minor: 3)]

    /// A source that is no more than its table.
    private struct Table: ChunkSource {
        let path: FilePath = "/store"
        let exceptions: ExceptionTable

        init(_ entries: [(UInt64, UInt64)], chunkBytes: UInt64) throws {
            exceptions = try ExceptionTable(
                entries.map { ExceptionEntry(originChunk: $0.0, storedChunk: $0.1) },
                chunkSize: ChunkSize(ByteCount(chunkBytes)),
                originSize: ByteCount(1 << 20), storedChunks: 1 << 20)
        }

        func read(
            into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
        ) throws(ChunkReadError) {
            throw .ended(size: ByteCount(0))
        }
    }

    @Test(
        "A composed store's table has no hole, and each store lies where the index says",
        arguments: [(4096, 4096), (16384, 4096), (4096, 16384)] as [(UInt64, UInt64)])
    func table(first: UInt64, second: UInt64) throws {
        let union = try UnionSource(
            RestorePlan(sources: [
                Table([(0, 2), (1, 7)], chunkBytes: first),
                Table([(3, 2), (9, 3)], chunkBytes: second),
            ]))
        let store = try StoreIndex(union.exceptions)
        let table = ComposedStore.table(union, store, file: index, parts: parts)
        var end: UInt64 = 0
        for target in table {
            #expect(target.start.sectors == end)
            #expect(target.length.sectors > 0)
            end += target.length.sectors
        }
        let whole =
            store.head.bytes + store.kept.bytes
        #expect(end * 512 == whole)
        for (part, space) in zip(parts, union.spaces) {
            let target = try #require(table.first { $0.parameters == "\(part) 0" })
            #expect(target.start.sectors * 512 == store.head.bytes + space.lowerBound)
            #expect(target.length.sectors * 512 == UInt64(space.count))
        }
        #expect(table.first?.parameters == "\(index) 0")
    }

    @Test("A source without an exception takes no part in the table")
    func empty() throws {
        let union = try UnionSource(
            RestorePlan(sources: [
                Table([], chunkBytes: 4096), Table([(3, 2)], chunkBytes: 4096),
            ]))
        let store = try StoreIndex(union.exceptions)
        let table = ComposedStore.table(union, store, file: index, parts: parts)
        #expect(!table.contains { $0.parameters.hasPrefix("\(parts[0]) ") })
        #expect(table.contains { $0.parameters == "\(parts[1]) 0" })
    }
}

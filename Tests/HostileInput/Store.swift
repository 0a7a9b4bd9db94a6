import Block
import ExceptionStore
import SystemPackage

/// The first 9 bytes are the origin's size and the chunk size that the store should have; the rest
/// is the store. Whatever they are: no trap, and no table that breaks its rules.
enum StoreReading {
    private static let file = ScratchFile("store")

    static func check(_ input: [UInt8]) {
        guard input.count >= 9 else { return }
        let originSize = input[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let chunkSize = try? ChunkSize(SectorCount(1 << UInt64(input[8] & 31)))
        file.fill([UInt8](input[9...]))
        for expected in [chunkSize, nil] {
            guard let store = try? OwnedDescriptor.open(file.path, .readWrite),
                let contents = try? StoreContents.read(
                    store, originSize: ByteCount(originSize), expecting: expected)
            else { continue }
            checkRules(contents, size: UInt64(input.count - 9))
            // What clears a stale tail changes nothing else.
            _ = try? StorePreparation.clearStaleTail(store, contents: contents)
            let again = try? StoreContents.read(
                store, originSize: ByteCount(originSize), expecting: expected)
            precondition(again?.hasStaleTail == false)
            precondition(again?.exceptions.entries == contents.exceptions.entries)
        }
    }

    private static func checkRules(_ contents: StoreContents, size: UInt64) {
        let table = contents.exceptions
        let layout = AreaLayout(chunkSize: table.chunkSize)
        let entries = table.entries
        precondition(
            zip(entries, entries.dropFirst()).allSatisfy { $0.originChunk < $1.originChunk })
        precondition(Set(entries.map(\.storedChunk)).count == entries.count)
        for entry in entries {
            precondition(entry.originChunk < table.chunkSize.chunks(covering: table.originSize))
            precondition(layout.isData(entry.storedChunk))
            precondition(entry.storedChunk < table.chunkSize.wholeChunks(in: ByteCount(size)))
        }
    }
}

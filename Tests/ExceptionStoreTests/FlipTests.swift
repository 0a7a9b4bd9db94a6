import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@Suite struct FlipTests {
    static let originSize: UInt64 = 100 * 512 - 1

    static func store(_ directory: TemporaryDirectory) throws -> (FilePath, StoreImage) {
        let image = StoreImage(
            chunkBytes: 512, chunks: 70,
            entries: (0..<40).map { (old: 2 * $0, new: 2 + $0 + $0 / 32) })
        return (try directory.file("store", image.bytes), image)
    }

    /// What the reader gives for the store with this byte in place of its own; nil when refused.
    static func read(
        _ file: FilePath, _ image: StoreImage, at offset: Int, _ byte: UInt8
    ) throws -> StoreContents? {
        try TemporaryDirectory.patch(file, at: Int64(offset), [byte])
        defer {
            try? TemporaryDirectory.patch(file, at: Int64(offset), [image.bytes[offset]])
        }
        do {
            return try contents(at: file, originSize: originSize)
        } catch is ExceptionStoreError {
            return nil
        }
    }

    static func changes(_ byte: UInt8) -> [UInt8] {
        (0..<8).map { byte ^ (1 << UInt8($0)) } + [~byte]
    }

    @Test func `no changed byte in the header's numbers goes unseen`() throws {
        let directory = try TemporaryDirectory()
        let (file, image) = try Self.store(directory)
        for offset in 0..<16 {
            for byte in Self.changes(image.bytes[offset]) {
                #expect(
                    try Self.read(file, image, at: offset, byte) == nil, "byte \(offset): \(byte)")
            }
        }
    }

    // A changed number may be another good one; what the reader then gives still keeps the rules.
    @Test func `no changed byte in header and first area makes the reader break its rules`() throws
    {
        let directory = try TemporaryDirectory()
        let (file, image) = try Self.store(directory)
        for offset in 0..<1024 {
            for byte in Self.changes(image.bytes[offset]) {
                guard let contents = try Self.read(file, image, at: offset, byte) else { continue }
                let entries = contents.exceptions.entries
                let ascend = zip(entries, entries.dropFirst())
                    .allSatisfy { $0.originChunk < $1.originChunk }
                let inside = entries.allSatisfy {
                    $0.originChunk < 100 && $0.storedChunk < 70
                        && ![0, 1, 34, 67].contains($0.storedChunk)
                }
                let apart = Set(entries.map(\.storedChunk)).count == entries.count
                #expect(ascend && inside && apart, "byte \(offset): \(byte)")
            }
        }
    }

    @Test func `no cut makes the reader break its rules`() throws {
        let directory = try TemporaryDirectory()
        let (_, image) = try Self.store(directory)
        for size in stride(from: 0, to: image.bytes.count, by: 128) {
            let whole = size >= 43 * 512
            let file = try directory.file("cut", [UInt8](image.bytes[..<size]))
            let count = try? contents(at: file, originSize: Self.originSize).exceptions.count
            #expect(count == (whole ? 40 : nil), "cut at \(size)")
        }
    }
}

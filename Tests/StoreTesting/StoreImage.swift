/// The bytes of a store in the kernel's format, put together without the code under test.
public struct StoreImage: Sendable {
    /// The whole store.
    public var bytes: [UInt8]
    /// The chunk size in bytes.
    public let chunkBytes: Int

    /// A store with every byte 0, or whatever `filling` says.
    public init(chunkBytes: Int, chunks: Int, filling: [UInt8]? = nil) {
        self.chunkBytes = chunkBytes
        self.bytes = filling ?? [UInt8](repeating: 0, count: chunkBytes * chunks)
    }

    /// A valid store with these entries, each in its place, and empty data.
    public init(chunkBytes: Int, chunks: Int, entries: [(old: UInt64, new: UInt64)]) {
        self.init(chunkBytes: chunkBytes, chunks: chunks)
        writeHeader()
        for (index, entry) in entries.enumerated() {
            setEntry(index, old: entry.old, new: entry.new)
        }
    }

    /// E: how many exceptions an area holds.
    public var perArea: Int { chunkBytes / 16 }

    /// Where an area is: chunk 1 + N × (E + 1).
    public func areaOffset(_ area: Int) -> Int { (1 + area * (perArea + 1)) * chunkBytes }

    /// Where the entry with this number is.
    public func entryOffset(_ index: Int) -> Int {
        areaOffset(index / perArea) + index % perArea * 16
    }

    /// Writes the header's four numbers.
    public mutating func writeHeader(
        magic: UInt32 = 0x7041_6e53, valid: UInt32 = 1, version: UInt32 = 1,
        chunkSectors: UInt32? = nil
    ) {
        let numbers = [magic, valid, version, chunkSectors ?? UInt32(chunkBytes / 512)]
        for (index, number) in numbers.enumerated() {
            put(UInt64(number), size: 4, at: index * 4)
        }
    }

    /// Writes an entry into the place that its number gives it.
    public mutating func setEntry(_ index: Int, old: UInt64, new: UInt64) {
        put(old, size: 8, at: entryOffset(index))
        put(new, size: 8, at: entryOffset(index) + 8)
    }

    /// Writes a chunk's contents.
    public mutating func setChunk(_ chunk: Int, _ contents: [UInt8]) {
        let offset = chunk * chunkBytes
        bytes.replaceSubrange(offset..<offset + contents.count, with: contents)
    }

    /// Fills an area, or any other chunk, with zeros.
    public mutating func zero(chunkAt offset: Int) {
        bytes.replaceSubrange(
            offset..<offset + chunkBytes, with: repeatElement(0, count: chunkBytes))
    }

    private mutating func put(_ number: UInt64, size: Int, at offset: Int) {
        for index in 0..<size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index))
        }
    }
}

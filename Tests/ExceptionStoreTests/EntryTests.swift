import ExceptionStore
import Testing

@Suite struct EntryTests {
    static let bytes: [UInt8] = [
        0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,  // old chunk
        0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,  // new chunk
    ]
    static let entry = ExceptionEntry(
        originChunk: 0x0102_0304_0506_0708, storedChunk: 0x1112_1314_1516_1718)

    @Test func `an entry is read at its offset, old chunk first`() {
        #expect(ExceptionEntry(reading: ([0xee, 0xee] + Self.bytes).span, at: 2) == Self.entry)
    }

    @Test func `an entry is written at its offset, old chunk first`() {
        var bytes = [UInt8](repeating: 0xee, count: 20)
        var span = bytes.mutableSpan
        let written = Self.entry.write(into: &span, at: 2)
        #expect(written)
        #expect(bytes == [0xee, 0xee] + Self.bytes + [0xee, 0xee])
    }

    @Test(arguments: [-1, 1, 16, Int.max, Int.min])
    func `an entry outside the bytes is neither read nor written`(offset: Int) {
        var bytes = Self.bytes
        #expect(ExceptionEntry(reading: bytes.span, at: offset) == nil)
        var span = bytes.mutableSpan
        let written = ExceptionEntry(originChunk: 0, storedChunk: 0).write(into: &span, at: offset)
        #expect(!written)
        #expect(bytes == Self.bytes)
    }

    // New chunk 0 would be the header. Old chunk 0 is a chunk like any other.
    @Test func `only a new chunk of 0 ends the list`() {
        #expect(ExceptionEntry(originChunk: 5, storedChunk: 0).endsList)
        #expect(!ExceptionEntry(originChunk: 0, storedChunk: 2).endsList)
    }
}

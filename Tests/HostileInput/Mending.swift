import CZlib

// A fuzzer doesn't find a checksum. So every input is tried once more with all checksums made
// right, for the code behind them.

private let headerEnd = 44
private let sectionSize = 40
private let footerSize = 60

/// The same bytes with right checksums wherever a reader would look for them.
func mended(_ input: [UInt8]) -> [UInt8] {
    var bytes = input
    guard bytes.count >= headerEnd + footerSize else { return bytes }
    let end = bytes.count - footerSize
    let length = min(max(bytes.number(at: 16, size: 4), headerEnd), end)
    bytes.put(bytes.checksum(0..<length - 4), at: length - 4)
    var offset = length
    var blocks: [[UInt8]] = []
    while end - offset >= sectionSize {
        let payload = bytes.number(at: offset + 20, size: 4)
        let start = offset + sectionSize
        guard payload <= end - start else { break }
        if bytes[offset..<offset + 4].elementsEqual("BLKS".utf8) {
            bytes.mendRecords(start..<start + payload, blocks)
        }
        let checksum = bytes.checksum(start..<start + payload)
        bytes.put(checksum, at: offset + 28)
        if bytes[offset + 4] == 0 { bytes.put(checksum, at: offset + 24) }
        bytes.put(bytes.checksum(offset..<offset + 36), at: offset + 36)
        if bytes[offset..<offset + 4].elementsEqual("DATA".utf8) {
            blocks.append([UInt8](bytes[offset + 16..<offset + 32]))
        }
        offset = start + payload
    }
    bytes.put(bytes.count, size: 8, at: end + 12)
    bytes.put(bytes.checksum(0..<end), at: end + 52)
    bytes.put(bytes.checksum(end..<end + 56), at: end + 56)
    return bytes
}

extension [UInt8] {
    fileprivate func number(at offset: Int, size: Int) -> Int {
        (0..<size).reduce(0) { $0 | Int(self[offset + $1]) << (8 * $1) }
    }

    fileprivate func checksum(_ range: Range<Int>) -> Int {
        unsafe self[range].withUnsafeBufferPointer {
            Int(unsafe crc32_z(0, $0.baseAddress, $0.count))
        }
    }

    fileprivate mutating func put(_ number: Int, size: Int = 4, at offset: Int) {
        for index in 0..<size {
            self[offset + index] = UInt8(truncatingIfNeeded: number >> (8 * index))
        }
    }

    /// Gives the records of a stored section the lengths and checksums that the blocks have.
    fileprivate mutating func mendRecords(_ range: Range<Int>, _ blocks: [[UInt8]]) {
        for (place, block) in zip(
            stride(from: range.lowerBound, to: range.upperBound, by: 24), blocks)
        where range.upperBound - place >= 24 {
            replaceSubrange(place + 8..<place + 24, with: block)
        }
    }
}

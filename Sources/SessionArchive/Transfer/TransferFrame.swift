internal import CXxhash

/// A frame of a stream of sessions: a head of 20 bytes, then the payload. Numbers are little-endian.
///
/// | Offset | Bytes | What |
/// |---|---|---|
/// | 0 | 4 | `DMSF` |
/// | 4 | 4 | kind |
/// | 8 | 4 | length of the payload, at most `mostBytes` |
/// | 12 | 8 | checksum |
///
/// The checksum is the XXH3 of the payload, seeded by the XXH3 of the head's first 12 bytes, that one
/// seeded by the checksum of the frame before (0 before the first): a frame that is lost, repeated or
/// in another place is noticed as a damaged one is. It is no proof of who sent the stream.
package struct TransferFrame: Equatable, Sendable {
    /// Bytes of a head.
    static let headBytes = 20
    /// Most bytes of a payload.
    package static let mostBytes = 1 << 20
    static let magic: [UInt8] = [0x44, 0x4d, 0x53, 0x46]

    /// What the payload is; its meaning is not the frame's.
    package let kind: UInt32
    /// What is sent.
    package let payload: [UInt8]

    /// - Precondition: the payload has at most `mostBytes`.
    package init(kind: UInt32, payload: [UInt8]) {
        precondition(payload.count <= Self.mostBytes)
        self.kind = kind
        self.payload = payload
    }

    /// The frame's head.
    ///
    /// - Parameter chain: the checksum of the frame before; of this one afterwards.
    func head(chain: inout UInt64) -> [UInt8] {
        var bytes = Self.magic
        for number in [kind, UInt32(payload.count)] {
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
        }
        chain = TransferHash.of(payload, seed: TransferHash.of(bytes, seed: chain))
        let checksum = chain
        return bytes + (0..<8).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt64($0))) }
    }
}

/// XXH3, as it is sent.
package enum TransferHash {
    /// - Parameter seed: the hash of what comes before.
    package static func of(_ bytes: [UInt8], seed: UInt64) -> UInt64 {
        unsafe bytes.withUnsafeBytes { buffer in
            unsafe cxxhash_xxh3(buffer.baseAddress, buffer.count, seed)
        }
    }
}

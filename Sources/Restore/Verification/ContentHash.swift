/// XXH64: fast enough to vanish beside the disk, and no two damaged reads look alike by chance.
///
/// For comparing what was read twice in one run; it is never kept on disk.
enum ContentHash {
    private static let prime1: UInt64 = 0x9e37_79b1_85eb_ca87
    private static let prime2: UInt64 = 0xc2b2_ae3d_27d4_eb4f
    private static let prime3: UInt64 = 0x1656_67b1_9e37_79f9
    private static let prime4: UInt64 = 0x85eb_ca77_c2b2_ae63
    private static let prime5: UInt64 = 0x27d4_eb2f_1656_67c5

    static func of(_ bytes: Span<UInt8>, seed: UInt64 = 0) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe of($0, seed) }
    }

    private static func of(_ bytes: UnsafeRawBufferPointer, _ seed: UInt64) -> UInt64 {
        var place = 0
        var hash: UInt64
        if bytes.count >= 32 {
            hash = unsafe stripes(bytes, seed, &place)
        } else {
            hash = seed &+ prime5
        }
        hash = hash &+ UInt64(bytes.count)
        while place + 8 <= bytes.count {
            hash ^= round(0, unsafe load(bytes, place))
            hash = rotated(hash, 27) &* prime1 &+ prime4
            place += 8
        }
        if place + 4 <= bytes.count {
            let word = unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
            hash ^= UInt64(UInt32(littleEndian: word)) &* prime1
            hash = rotated(hash, 23) &* prime2 &+ prime3
            place += 4
        }
        while place < bytes.count {
            hash ^= UInt64(unsafe bytes[place]) &* prime5
            hash = rotated(hash, 11) &* prime1
            place += 1
        }
        hash = (hash ^ hash >> 33) &* prime2
        hash = (hash ^ hash >> 29) &* prime3
        return hash ^ hash >> 32
    }

    /// Four sums side by side, so that none waits for another.
    private static func stripes(
        _ bytes: UnsafeRawBufferPointer, _ seed: UInt64, _ place: inout Int
    ) -> UInt64 {
        var first = seed &+ prime1 &+ prime2
        var second = seed &+ prime2
        var third = seed
        var fourth = seed &- prime1
        let end = bytes.count - 32
        var offset = 0
        while offset <= end {
            first = round(first, unsafe load(bytes, offset))
            second = round(second, unsafe load(bytes, offset + 8))
            third = round(third, unsafe load(bytes, offset + 16))
            fourth = round(fourth, unsafe load(bytes, offset + 24))
            offset += 32
        }
        place = offset
        var hash =
            rotated(first, 1) &+ rotated(second, 7) &+ rotated(third, 12) &+ rotated(fourth, 18)
        hash = (hash ^ round(0, first)) &* prime1 &+ prime4
        hash = (hash ^ round(0, second)) &* prime1 &+ prime4
        hash = (hash ^ round(0, third)) &* prime1 &+ prime4
        return (hash ^ round(0, fourth)) &* prime1 &+ prime4
    }

    @inline(__always)
    private static func load(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt64 {
        UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
    }

    @inline(__always)
    private static func round(_ sum: UInt64, _ word: UInt64) -> UInt64 {
        rotated(sum &+ word &* prime2, 31) &* prime1
    }

    @inline(__always)
    private static func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 {
        word << count | word >> (64 - count)
    }
}

extension Fingerprint {
    /// How many samples are taken of a device that has so many blocks.
    static let sampleCount: UInt64 = 48
    /// A sample's length in bytes; its offset is a multiple of it.
    static let sampleSize: UInt64 = 4096

    /// The places of superblocks on a device of this length: none empty, none twice, all on it.
    static func places(of size: ByteCount) -> [Range<UInt64>] {
        let kibi: UInt64 = 1 << 10
        let mebi: UInt64 = 1 << 20
        let last = size.bytes - min(size.bytes, 64 * kibi)
        // The first blocks one by one, too: where superblocks and boot sectors are.
        let first: [(UInt64, UInt64)] = (0..<32).map { ($0 * 4 * kibi, 4 * kibi) }
        return clipped(
            regions(of: size) + first
                + [
                    // ext4's first backup, in group 1, whose place the block size gives: 1, 2, 4 KiB
                    // (fs/ext4: s_first_data_block + s_blocks_per_group, of 8 blocks a byte of bitmap).
                    (8193 * kibi, kibi), (16384 * 2 * kibi, kibi), (32768 * 4 * kibi, kibi),
                    // btrfs's third (BTRFS_SUPER_MIRROR_SHIFT in fs/btrfs/disk-io.h).
                    (256 << 30, 64 * kibi),
                    // All else of the last MiB: the two labels at the end of a zfs, and md's 0.90, which
                    // may begin 128 KiB before the end.
                    (max(size.bytes - min(size.bytes, mebi), mebi), mebi - 64 * kibi),
                ].map { offset, length in
                    (offset, offset < last ? min(length, last - offset) : 0)
                }, to: size)
    }

    /// The three regions of fingerprints before there were more, which are still three of today's:
    /// the first MiB (every superblock's first place), 64 MiB (btrfs's second), the last 64 KiB
    /// (nilfs2's second, md's 1.0, the other GPT).
    static func regions(of size: ByteCount) -> [(UInt64, UInt64)] {
        let last: UInt64 = 64 << 10
        return [(0, 1 << 20), (64 << 20, 64 << 10), (size.bytes - min(size.bytes, last), last)]
    }

    static func clipped(
        _ regions: [(UInt64, UInt64)], to size: ByteCount
    ) -> [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        for (offset, length) in regions where length > 0 && offset < size.bytes {
            let range = offset..<offset + min(length, size.bytes - offset)
            if !found.contains(range) { found.append(range) }
        }
        return found
    }

    /// The samples' places, given by the device's length alone and for ever: one block at a hashed
    /// place in each of 48 equal parts of the device, or all its blocks if it has no more. So none is
    /// taken twice, no large part of a device goes without, and nothing that is laid out regularly
    /// falls between them.
    static func samples(of size: ByteCount) -> [Range<UInt64>] {
        let blocks = size.bytes / sampleSize + (size.bytes.isMultiple(of: sampleSize) ? 0 : 1)
        let count = min(blocks, sampleCount)
        guard count > 0 else { return [] }
        // part(count) is `blocks`, and no product is ever larger than it times 48.
        func part(_ index: UInt64) -> UInt64 {
            count.dividingFullWidth(blocks.multipliedFullWidth(by: index)).quotient
        }
        return (0..<count).map { index in
            let start = part(index)
            let block = start + hash(size.bytes ^ hash(index)) % (part(index + 1) - start)
            let offset = block * sampleSize
            return offset..<offset + min(sampleSize, size.bytes - offset)
        }
    }

    /// SplitMix64's output function: every bit of the result hangs on every bit of the number.
    private static func hash(_ number: UInt64) -> UInt64 {
        var value = number &+ 0x9E37_79B9_7F4A_7C15
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

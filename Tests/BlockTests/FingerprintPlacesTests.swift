import Testing

@testable import Block

@Suite struct FingerprintPlacesTests {
    static let sizes: [UInt64] = [
        0, 1, 512, 4096, 4608, 65_536, 66_048, 1 << 20, (1 << 20) + 512, 48 * 4096, 49 * 4096,
        3 << 20, 8193 << 10, (8193 << 10) + 512, 64 << 20, (64 << 20) + 512, 1 << 30, 256 << 30,
        (256 << 30) + 4096, 1 << 40, 8 << 60, .max - 511, .max,
    ]

    private func ranges(_ size: UInt64) -> [Range<UInt64>] {
        Fingerprint.places(of: ByteCount(size))
    }

    @Test("On a device of 1 TiB every superblock's copy has its place")
    func large() {
        let size: UInt64 = 1 << 40
        // The first blocks, one by one.
        let blocks: [(start: UInt64, length: UInt64)] = (0..<32).map { ($0 * 4096, 4096) }
        let copies: [(start: UInt64, length: UInt64)] =
            [
                (0, 1_048_576),
                // btrfs: BTRFS_SUPER_INFO_OFFSET is 64 KiB, its mirrors at 64 MiB and 256 GiB.
                (67_108_864, 65_536),
                (size - 65_536, 65_536),
            ] + blocks + [
                // ext4: block 8193 of 1 KiB, 16384 of 2 KiB, 32768 of 4 KiB.
                (8_389_632, 1024), (33_554_432, 1024), (134_217_728, 1024),
                (274_877_906_944, 65_536),
                (size - 1_048_576, 983_040),
            ]
        #expect(ranges(size).map(\.lowerBound) == copies.map(\.start))
        #expect(ranges(size).map { UInt64($0.count) } == copies.map(\.length))
    }

    @Test("Every superblock's place by its own rule is among them", arguments: sizes)
    func known(size: UInt64) {
        // Each rounds the device's length down to its own unit and goes back from there.
        func back(_ distance: UInt64, unit: UInt64) -> UInt64 { size / unit * unit &- distance }
        let starts: [(name: String, offset: UInt64, length: UInt64)] = [
            ("GPT", back(33 * 512, unit: 512), 33 * 512),
            ("nilfs2", back(4096, unit: 4096), 1024),
            ("md 0.90", back(65_536, unit: 65_536), 4096),
            ("md 1.0", back(8192, unit: 4096), 4096),
            ("zfs L2", back(524_288, unit: 262_144), 262_144),
            ("zfs L3", back(262_144, unit: 262_144), 262_144),
        ]
        for (name, offset, length) in starts where offset < size && length <= size - offset {
            let isCovered = (offset..<offset + length).allStepsCovered(by: ranges(size))
            #expect(isCovered, "\(name) at \(offset)")
        }
    }

    @Test(
        "No place is empty, twice, or past the device's end, and all are few MiB", arguments: sizes)
    func shape(size: UInt64) {
        let places = ranges(size)
        let samples = Fingerprint.samples(of: ByteCount(size))
        for list in [places, samples] {
            #expect(Set(list).count == list.count)
            #expect(list.allSatisfy { !$0.isEmpty && $0.upperBound <= size })
        }
        #expect(places.isEmpty == (size == 0))
        #expect(places.first?.lowerBound ?? 0 == 0)
        let bytes = places.map(\.count).reduce(0, +)
        #expect(bytes < 3 << 20)
    }

    @Test(
        "Samples are whole blocks in their order, one in each 48th of the device", arguments: sizes)
    func samples(size: UInt64) {
        let samples = Fingerprint.samples(of: ByteCount(size))
        let blocks = size / 4096 + (size.isMultiple(of: 4096) ? 0 : 1)
        #expect(UInt64(samples.count) == min(48, blocks))
        #expect(samples.allSatisfy { $0.lowerBound.isMultiple(of: 4096) })
        #expect(samples.allSatisfy { $0.count == 4096 || $0.upperBound == size })
        #expect(zip(samples, samples.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
        // A part more than twice as long as a 48th that has none would be a hole.
        let most = 2 * (blocks / 48 + 1)
        for (one, next) in zip(samples, samples.dropFirst()) {
            let distance = (next.lowerBound - one.lowerBound) / 4096
            #expect(distance <= most)
        }
    }

    @Test("Where the samples are never changes: fingerprints on disk are compared with new ones")
    func pinned() {
        let samples = Fingerprint.samples(of: ByteCount(1_073_741_824)).map(\.lowerBound)
        #expect(samples.prefix(4) == [10_706_944, 40_591_360, 50_483_200, 70_660_096])
        #expect(Fingerprint.samples(of: ByteCount(12_288)).map(\.lowerBound) == [0, 4096, 8192])
    }
}

extension Range<UInt64> {
    /// Whether every byte is in one of the ranges.
    fileprivate func allStepsCovered(by ranges: [Range<UInt64>]) -> Bool {
        var offset = lowerBound
        while offset < upperBound {
            guard let range = ranges.first(where: { $0.contains(offset) }) else { return false }
            offset = range.upperBound
        }
        return true
    }
}

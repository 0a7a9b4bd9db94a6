internal import CZlib
internal import SystemPackage

/// A fingerprint of a device: its contents' identity, checksums of the places where file systems and
/// others keep their superblocks, and of samples of everything else.
///
/// Two that agree mean that no file system on it was mounted for writing in between: every one of
/// them writes to its superblock when it is. They don't prove that no byte elsewhere was changed;
/// the samples only make it likely that a device with much of it changed is seen as another.
public struct Fingerprint: Hashable, Sendable {
    /// A part of the device, and what it held.
    public struct Place: Hashable, Sendable {
        /// Where it begins, in bytes.
        public var offset: UInt64
        /// How many bytes it has.
        public var length: UInt64
        /// CRC-32 of them (IEEE 802.3, as zlib's).
        public var checksum: UInt32

        /// A place, from its parts.
        public init(offset: UInt64, length: UInt64, checksum: UInt32) {
            self.offset = offset
            self.length = length
            self.checksum = checksum
        }

        /// Its bytes on the device. A place that would go past the last offset there can be ends
        /// there: such a one was never on a device.
        public var range: Range<UInt64> { offset..<offset + min(length, .max - offset) }
    }

    /// The device's length.
    public var size: ByteCount
    /// What libblkid finds on it; nothing where it finds contradictions.
    public var contents: Contents
    /// Where superblocks are, or would be: see `places(of:)`.
    public var places: [Place]
    /// Blocks spread over the device; none in a fingerprint that was made without, or before there
    /// were any.
    public var samples: [Place]
    /// Of an image the file itself, from before the rest was read; nil of a disk, and where that can't
    /// be told. No two that `agree` need have the same.
    public var file: FileStamp?

    /// A fingerprint, from its parts.
    public init(size: ByteCount, contents: Contents, places: [Place], samples: [Place] = []) {
        self.size = size
        self.contents = contents
        self.places = places
        self.samples = samples
    }

    /// Reads all of it, some 2 MiB, through the descriptor, and so through the page cache that it
    /// has.
    ///
    /// - Parameter expected: what was found on it a moment ago, where time counts, as under a suspend: to find out
    ///   what it is takes ten times as long as the rest.
    public init(
        of device: borrowing OwnedDescriptor, expecting expected: Contents? = nil
    ) throws(SystemError) {
        try self.init(superblocksOf: device, expecting: expected)
        samples = try Self.read(Self.samples(of: size), of: device)
    }

    /// Reads the superblocks' places only, without the samples: two pieces of 1 MiB and a few small
    /// ones, for where time counts, as under a suspend.
    public init(
        superblocksOf device: borrowing OwnedDescriptor, expecting expected: Contents? = nil
    ) throws(SystemError) {
        // An image's last bytes may be no sector, and then no device over it has them.
        size = try device.size().inWholeSectors
        // What can't be told apart is no identity, but its bytes still are a fingerprint.
        let found =
            if let expected { try? Contents(probing: device, expecting: expected) } else {
                try? Contents(probing: device)
            }
        contents = found ?? Contents()
        // Of the raw device only: device-mapper's over it is no partition.
        contents.partitionUUID = nil
        samples = []
        places = try Self.read(Self.places(of: size), of: device)
    }

    private static func read(
        _ ranges: [Range<UInt64>], of device: borrowing OwnedDescriptor
    ) throws(SystemError) -> [Place] {
        // One buffer for all: a page of memory is dear to touch the first time.
        let piece = 64 << 10
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
        defer { unsafe buffer.deallocate() }
        // All at once: one after the other each waits for the device.
        for range in ranges { device.prefetch(range) }
        var found: [Place] = []
        for range in ranges {
            var checksum: UInt = 0
            var offset = range.lowerBound
            while offset < range.upperBound {
                let part = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: buffer.prefix(Int(min(UInt64(piece), range.upperBound - offset))))
                let count = try unsafe device.read(into: part, at: offset)
                checksum = unsafe crc32(checksum, part.baseAddress, UInt32(count))
                if count == 0 { break }
                offset += UInt64(count)
            }
            found.append(
                Place(
                    offset: range.lowerBound, length: range.upperBound - range.lowerBound,
                    checksum: UInt32(checksum)))
        }
        return found
    }
}

extension Fingerprint {
    /// Whether both can be of the same contents, as far as both looked: the same length, the same
    /// identity, and no place with other bytes. The device's beginning must be in both.
    ///
    /// This, and not `==`, compares fingerprints that looked at different places, as those of
    /// different versions of the program do.
    public func agrees(with other: Fingerprint) -> Bool {
        guard size == other.size, contents == other.contents, differences(from: other).isEmpty
        else { return false }
        let pairs = Self.common(places, other.places)
        return size.bytes == 0 || pairs.contains { one, _ in one.offset == 0 }
    }

    /// Whether both are of one image file that nobody has written to in between: not only likely, as
    /// where they agree, but sure.
    public func isOfSameWrite(as other: Fingerprint) -> Bool {
        guard let file, let earlier = other.file else { return false }
        return file == earlier && file.isExact
    }

    /// The places and samples, of those that both have, whose bytes differ; sorted.
    ///
    /// - Parameter isToCompare: lets a range of bytes through; the others count as equal.
    public func differences(
        from other: Fingerprint, where isToCompare: (Range<UInt64>) -> Bool = { _ in true }
    ) -> [Range<UInt64>] {
        let pairs = Self.common(places, other.places) + Self.common(samples, other.samples)
        let ranges = pairs.filter { $0.checksum != $1.checksum && isToCompare($0.range) }
            .map(\.0.range)
        return Set(ranges).sorted {
            ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound)
        }
    }

    private static func common(_ one: [Place], _ other: [Place]) -> [(Place, Place)] {
        one.flatMap { place in
            other.filter { $0.offset == place.offset && $0.length == place.length }
                .map { (place, $0) }
        }
    }
}

extension Fingerprint: Codable {
    private enum CodingKeys: String, CodingKey {
        case size, contents, places, samples, file
        /// Until there were `places`: the CRC-32s of `regions(of:)`, in their order.
        case checksums
    }

    /// Also from the form that had `checksums`, of three regions.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        size = try container.decode(ByteCount.self, forKey: .size)
        contents = try container.decode(Contents.self, forKey: .contents)
        samples = try Self.decode(.samples, from: container) ?? []
        file = try container.decodeIfPresent(FileStamp.self, forKey: .file)
        if let found = try Self.decode(.places, from: container) {
            places = found
            return
        }
        let checksums = try container.decode([UInt32].self, forKey: .checksums)
        let regions = Self.regions(of: size)
        guard checksums.count == regions.count else {
            throw DecodingError.dataCorruptedError(
                forKey: .checksums, in: container,
                debugDescription: "\(checksums.count) checksums instead of \(regions.count)")
        }
        places = []
        for (region, checksum) in zip(regions, checksums) {
            for range in Self.clipped([region], to: size)
            where !places.contains(where: { $0.range == range }) {
                places.append(
                    Place(
                        offset: range.lowerBound, length: range.upperBound - range.lowerBound,
                        checksum: checksum))
            }
        }
    }

    /// As `size`, `contents`, `places`, and `samples` and `file` if there are any.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(size, forKey: .size)
        try container.encode(contents, forKey: .contents)
        try container.encode(Self.numbers(places), forKey: .places)
        if !samples.isEmpty { try container.encode(Self.numbers(samples), forKey: .samples) }
        try container.encodeIfPresent(file, forKey: .file)
    }

    /// Offset, length and checksum of one after the other: a registry is read often, and a hundred
    /// objects take their time.
    private static func numbers(_ places: [Place]) -> [UInt64] {
        places.flatMap { [$0.offset, $0.length, UInt64($0.checksum)] }
    }

    private static func decode(
        _ key: CodingKeys, from container: KeyedDecodingContainer<CodingKeys>
    ) throws -> [Place]? {
        guard let numbers = try container.decodeIfPresent([UInt64].self, forKey: key) else {
            return nil
        }
        let places = stride(from: 0, to: numbers.count, by: 3).compactMap { start -> Place? in
            guard start + 2 < numbers.count, let checksum = UInt32(exactly: numbers[start + 2])
            else { return nil }
            return Place(
                offset: numbers[start], length: numbers[start + 1], checksum: checksum)
        }
        guard places.count * 3 == numbers.count else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: container,
                debugDescription: "it is not offset, length and checksum again and again")
        }
        return places
    }
}

import Block
import StoreTesting
import WriteLog

/// A log made byte by byte, after the structures at the top of drivers/md/dm-log-writes.c.
struct HandMade {
    static let deviceSize: UInt64 = 16 * 512
    static let parts: [Range<UInt64>] = [0..<8 * 512, 8 * 512..<16 * 512]
    var magic: UInt64 = 0x6a_7366_7773_6872
    var version: UInt64 = 1
    var sectorSize: UInt64 = 512
    /// What the superblock says; nil for as many as there are.
    var count: UInt64?
    private(set) var number: UInt64 = 0
    private(set) var body: [UInt8] = []

    static func little(_ number: UInt64, bytes: Int = 8) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }

    /// An entry: a sector that begins with sector, number of sectors, flags and length of its own data;
    /// then that many sectors, each of them full of `fill`.
    mutating func entry(
        _ flags: UInt64, sector: UInt64 = 0, sectors: UInt64 = 0, fill: UInt8 = 0,
        length: UInt64 = 0, text: String = ""
    ) {
        var head = Self.little(sector) + Self.little(sectors) + Self.little(flags)
        head += Self.little(length) + Array(text.utf8)
        body += head + [UInt8](repeating: 0, count: Int(sectorSize) - head.count)
        body += [UInt8](repeating: fill, count: Int(min(sectors, 64) * sectorSize))
        number += 1
    }

    mutating func write(_ sector: UInt64, _ sectors: UInt64 = 1, fill: UInt8) {
        entry(0, sector: sector, sectors: sectors, fill: fill)
    }

    mutating func fua(_ sector: UInt64, _ sectors: UInt64 = 1, fill: UInt8) {
        entry(2, sector: sector, sectors: sectors, fill: fill)
    }

    /// - Parameter sector: where the part of the device that is flushed begins.
    mutating func flush(_ sector: UInt64 = 0) { entry(1, sector: sector) }

    mutating func mark(_ text: String) {
        entry(8, length: UInt64(text.utf8.count), text: text)
    }

    /// Magic, version, number of entries (8 bytes each), sector size (4 bytes); then the entries.
    var bytes: [UInt8] {
        let head =
            Self.little(magic) + Self.little(version) + Self.little(count ?? number)
            + Self.little(sectorSize, bytes: 4)
        return head + [UInt8](repeating: 0, count: max(512, Int(sectorSize)) - head.count) + body
    }

    /// Reads the log with `body`.
    func with<Result>(
        _ body: (WriteLog, consuming OwnedDescriptor) throws -> Result
    ) throws -> Result {
        let directory = try TemporaryDirectory()
        let file = try OwnedDescriptor.open(directory.file("log", bytes), .readOnly)
        return try body(WriteLog(of: file, deviceSize: Self.deviceSize), file)
    }

    func read() throws -> WriteLog {
        try with { log, _ in log }
    }

    /// The device, of which every byte was 0xff, after each of the cuts.
    func images(after cuts: [PowerCut], seed: UInt64 = 1) throws -> [[UInt8]] {
        try with { log, file in
            var replay = Replay(
                log, in: file, base: [UInt8](repeating: 0xff, count: Int(Self.deviceSize)),
                parts: Self.parts, seed: seed)
            return try cuts.map { try replay.image(after: $0) }
        }
    }
}

/// The first byte of each sector, where all others are as it.
func sectors(_ image: [UInt8]) -> [UInt8] {
    stride(from: 0, to: image.count, by: 512).map { start in
        let sector = image[start..<start + 512]
        return sector.allSatisfy { $0 == image[start] } ? image[start] : 0xee
    }
}

func read(_ bytes: [UInt8]) throws -> WriteLog {
    let directory = try TemporaryDirectory()
    return try WriteLog(
        of: OwnedDescriptor.open(directory.file("log", bytes), .readOnly),
        deviceSize: HandMade.deviceSize)
}

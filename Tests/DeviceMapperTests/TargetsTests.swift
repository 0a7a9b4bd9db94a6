import Block
import Testing

@testable import DeviceMapper

@Suite struct TargetsTests {
    static let origins: [(String, DeviceNumber)] = [
        ("8:16", DeviceNumber(major: 8, minor: 16)),
        ("7:0", DeviceNumber(major: 7, minor: 0)),
        ("253:1048575", DeviceNumber(major: 253, minor: 1_048_575)),
    ]

    @Test(
        "snapshot-origin's parameters are the origin, printed as the kernel prints it",
        arguments: origins)
    func origin(parameters: String, origin: DeviceNumber) {
        // origin_status in drivers/md/dm-snap.c: the device's name, which is major:minor.
        let target = SnapshotOriginTarget(origin: origin)
        #expect(target.parameters == parameters)
        #expect(SnapshotOriginTarget(parameters: parameters) == target)
    }

    @Test(
        "snapshot-origin takes nothing else",
        arguments: [
            "", " ", "8:16 ", " 8:16", "8:16 1", "8:16 8:17", "/dev/sdb", "8", "8:-1", "8:+1",
        ])
    func hostileOrigin(parameters: String) {
        #expect(SnapshotOriginTarget(parameters: parameters) == nil)
    }

    static let snapshots: [(String, SnapshotTarget)] = [
        (
            "8:16 7:0 P 16",
            SnapshotTarget(
                origin: DeviceNumber(major: 8, minor: 16), store: DeviceNumber(major: 7, minor: 0),
                chunk: SectorCount(16))
        ),
        (
            "8:16 7:0 PO 16",
            SnapshotTarget(
                origin: DeviceNumber(major: 8, minor: 16), store: DeviceNumber(major: 7, minor: 0),
                chunk: SectorCount(16), outlastsOverflow: true)
        ),
        (
            "253:3 7:300 P 1",
            SnapshotTarget(
                origin: DeviceNumber(major: 253, minor: 3),
                store: DeviceNumber(major: 7, minor: 300),
                chunk: SectorCount(1))
        ),
        (
            "253:3 7:1 P 2097152",
            SnapshotTarget(
                origin: DeviceNumber(major: 253, minor: 3), store: DeviceNumber(major: 7, minor: 1),
                chunk: SectorCount(1 << 21))
        ),
    ]

    @Test(
        "snapshot's parameters are origin, store, P and chunk, as the kernel prints them",
        arguments: snapshots)
    func snapshot(parameters: String, target: SnapshotTarget) {
        // snapshot_status in drivers/md/dm-snap.c and persistent_status in dm-snap-persistent.c.
        #expect(target.parameters == parameters)
        #expect(SnapshotTarget(parameters: parameters) == target)
    }

    @Test(
        "A snapshot that isn't of our making is none of ours",
        arguments: [
            "", "8:16", "8:16 7:0", "8:16 7:0 P", "8:16 7:0 N 16", "8:16 7:0 OP 16",
            "8:16 7:0 POP 16",
            "8:16 7:0 p 16",
            "8:16 7:0 P 16 1 discard_zeroes_cow", "8:16 7:0 P 16 x", "8:16 7:0 P 16 ",
            " 8:16 7:0 P 16",
            "8:16  7:0 P 16", "8:16 7:0 P -16", "8:16 7:0 P +16", "8:16 7:0 P 016",
            "8:16 7:0 P 16.0",
            "8:16 7:0 P 18446744073709551616", "8:16 /dev/loop0 P 16", "/dev/sdb 7:0 P 16",
            "8:16\t7:0\tP\t16", "8:16 7:0 P 16\n",
        ])
    func hostileSnapshot(parameters: String) {
        #expect(SnapshotTarget(parameters: parameters) == nil)
    }

    @Test(
        "snapshot-merge's parameters are those of a snapshot",
        arguments: snapshots.filter { !$0.1.outlastsOverflow })
    func merge(parameters: String, target: SnapshotTarget) throws {
        let merge = try #require(SnapshotMergeTarget(parameters: parameters))
        #expect(merge.parameters == parameters)
        #expect(merge.origin == target.origin && merge.store == target.store)
        #expect(
            Target.snapshotMerge(merge, length: SectorCount(8))
                == Target(length: SectorCount(8), type: "snapshot-merge", parameters: parameters))
        #expect(SnapshotMergeTarget(parameters: parameters + " ") == nil)
    }

    @Test(
        "A merge's status is how many chunks are left, or that it stopped",
        arguments: [
            ("16/4096 16", .left(0)), ("80/4096 16", .left(8)), ("Merge failed", .failed),
            ("Invalid", .failed), ("Unknown", .failed),
        ] as [(String, MergeStatus)])
    func mergeStatus(line: String, status: MergeStatus) throws {
        let read = try #require(SnapshotStatus(line: line))
        #expect(MergeStatus(read, chunk: SectorCount(8)) == status)
    }

    @Test("A target over a device starts at 0 and has the kernel's name of its type")
    func tables() {
        let origin = SnapshotOriginTarget(origin: DeviceNumber(major: 8, minor: 16))
        #expect(
            Target.snapshotOrigin(origin, length: SectorCount(2048))
                == Target(
                    start: SectorCount(0), length: SectorCount(2048), type: "snapshot-origin",
                    parameters: "8:16"))
        #expect(
            Target.snapshot(Self.snapshots[0].1, length: SectorCount(2048))
                == Target(
                    start: SectorCount(0), length: SectorCount(2048), type: "snapshot",
                    parameters: "8:16 7:0 P 16"))
    }
}

/// snapshot_status in drivers/md/dm-snap.c: one of four words, or two figures and the metadata.
@Suite struct SnapshotStatusTests {
    static func usage(_ allocated: UInt64, _ total: UInt64, _ metadata: UInt64) -> SnapshotStatus {
        .usage(
            allocated: SectorCount(allocated), total: SectorCount(total),
            metadata: SectorCount(metadata))
    }

    static let lines: [(String, SnapshotStatus)] = [
        ("Invalid", .invalid),
        ("Merge failed", .mergeFailed),
        ("Overflow", .overflow),
        ("Unknown", .unknown),
        // A fresh store: header and first area are taken.
        ("16/2097152 16", usage(16, 2_097_152, 16)),
        ("0/0 0", usage(0, 0, 0)),
        ("2097152/2097152 8208", usage(2_097_152, 2_097_152, 8208)),
        ("18446744073709551615/18446744073709551615 18446744073709551615", usage(.max, .max, .max)),
    ]

    @Test("A status line is read, and printed as it was", arguments: lines)
    func roundTrip(line: String, status: SnapshotStatus) {
        #expect(SnapshotStatus(line: line) == status)
        #expect(status.line == line)
    }

    @Test("Spaces around a line, or more of them in it, don't matter")
    func spaces() {
        #expect(SnapshotStatus(line: " 16/32  16 ") == Self.usage(16, 32, 16))
        #expect(SnapshotStatus(line: "Invalid ") == .invalid)
        #expect(SnapshotStatus(line: "Merge  failed") == .mergeFailed)
    }

    @Test(
        "What the kernel doesn't print is no status",
        arguments: [
            "", " ", "invalid", "INVALID", "Invalid 1", "Merge", "Merge failed 1", "Mergefailed",
            "failed",
            "Overflow 16/32 16", "Unknown status", "16", "16 16", "16/32", "/32 16", "16/ 16",
            "/ 16",
            "16/32/48 16", "16/32 16 16", "16/32 16 x", "16/32 -16", "-16/32 16", "16/-32 16",
            "+16/32 16",
            "16/+32 16", "16/32 +16", "016/32 16", "0x10/32 16", "16.0/32 16", "1e3/32 16",
            "16 /32 16",
            "18446744073709551616/32 16", "16/18446744073709551616 16",
            "16/32 18446744073709551616",
            "16/32\t16", "16/32 16\n", "16/32 16\0", "१६/32 16", "Invalid\n", "Invalid\u{301}",
        ])
    func hostile(line: String) {
        #expect(SnapshotStatus(line: line) == nil)
    }

    @Test(
        "Chunks taken are what is allocated beyond the metadata",
        arguments: [
            ("16/4096 16", 8, 0), ("24/4096 16", 8, 1), ("4096/4096 16", 8, 510),
            // Less than a chunk, which only a wrong chunk size could give, isn't one.
            ("23/4096 16", 8, 0), ("2/100 2", 1, 0), ("3/100 2", 1, 1),
            ("18446744073709551615/18446744073709551615 0", 1, .max),
        ] as [(String, UInt64, UInt64)])
    func chunks(line: String, chunk: UInt64, taken: UInt64) {
        let status = SnapshotStatus(line: line)
        #expect(status?.chunksTaken(chunk: SectorCount(chunk)) == taken)
    }

    @Test(
        "Nothing is said of chunks where nothing is known of them",
        arguments: [
            ("Invalid", 8), ("Merge failed", 8), ("Overflow", 8), ("Unknown", 8), ("16/32 16", 0),
            ("8/32 16", 8), ("0/0 18446744073709551615", 8),
        ] as [(String, UInt64)])
    func noChunks(line: String, chunk: UInt64) throws {
        let status = try #require(SnapshotStatus(line: line))
        #expect(status.chunksTaken(chunk: SectorCount(chunk)) == nil)
    }
}

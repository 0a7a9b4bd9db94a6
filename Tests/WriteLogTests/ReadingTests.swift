import Testing
@testable import WriteLog

@Suite struct ReadingTests {
    @Test("Every kind of entry is read, with the places of its data")
    func entries() throws {
        var made = HandMade()
        made.write(3, 2, fill: 1)
        made.flush()
        made.mark("armed 1")
        made.entry(2 | 16, sector: 15, sectors: 1, fill: 2)
        let log = try made.read()
        #expect(log.sectorSize == 512)
        #expect(
            log.entries == [
                WriteLog.Entry(flags: [], target: 1536..<2560, data: 1024, mark: nil),
                WriteLog.Entry(flags: .flush, target: 0..<0, data: 2560, mark: nil),
                WriteLog.Entry(flags: .mark, target: 0..<0, data: 3072, mark: "armed 1"),
                WriteLog.Entry(
                    flags: [.fua, .metadata], target: 7680..<8192, data: 3584, mark: nil),
            ])
        #expect(log.points == [1, 3])
    }

    @Test("A sector of 4096 bytes counts everything in these")
    func largeSectors() throws {
        var made = HandMade()
        made.sectorSize = 4096
        made.write(1, fill: 1)
        made.flush()
        let log = try made.read()
        #expect(log.entries.map(\.target) == [4096..<8192, 0..<0])
        #expect(log.entries.map(\.data) == [8192, 16384])
    }

    @Test("What the superblock doesn't count is not read")
    func uncounted() throws {
        var made = HandMade()
        made.flush()
        made.entry(1 << 20)
        made.count = 1
        #expect(try made.read().entries.count == 1)
    }

    @Test("A superblock that can't be is refused")
    func superblock() throws {
        func refused(_ change: (inout HandMade) -> Void) -> WriteLogError? {
            var made = HandMade()
            made.flush()
            change(&made)
            return #expect(throws: WriteLogError.self) { try made.read() }
        }
        #expect(refused { $0.magic += 1 } == .notALog)
        #expect(refused { $0.version = 2 } == .version(2))
        for size: UInt64 in [0, 256, 513, 1536, 131072] {
            #expect(refused { $0.sectorSize = size } == .sectorSize(size))
        }
        #expect(refused { $0.count = 3 } == .count(3))
        #expect(refused { $0.count = .max } == .count(.max))
        #expect(refused { $0.count = 2 } == .entry(1, .cutShort))
    }

    @Test("An entry that can't be is refused, and which one is said")
    func entry() throws {
        func refused(_ make: (inout HandMade) -> Void) -> WriteLogError? {
            var made = HandMade()
            made.flush()
            make(&made)
            return #expect(throws: WriteLogError.self) { try made.read() }
        }
        #expect(refused { $0.write(16, fill: 1) } == .entry(1, .beyondDevice))
        #expect(refused { $0.write(15, 2, fill: 1) } == .entry(1, .beyondDevice))
        #expect(refused { $0.write(.max, fill: 1) } == .entry(1, .beyondDevice))
        #expect(refused { $0.write(0, .max, fill: 1) } == .entry(1, .beyondDevice))
        #expect(refused { $0.write(1 << 55, 1 << 55, fill: 1) } == .entry(1, .beyondDevice))
        #expect(refused { $0.entry(32) } == .entry(1, .unknownFlags(32)))
        #expect(refused { $0.entry(4, sectors: 1) } == .entry(1, .discard))
        #expect(refused { $0.entry(0, sectors: 1, length: 7) } == .entry(1, .ownData(7)))
        #expect(refused { $0.entry(8, length: 481) } == .entry(1, .mark))
        #expect(refused { $0.entry(8 | 1, length: 1, text: "a") } == .entry(1, .mark))
        #expect(refused { $0.entry(8, sectors: 1, length: 1, text: "a") } == .entry(1, .mark))
    }

    @Test("A log that ends in an entry, or in its data, is refused")
    func short() throws {
        var made = HandMade()
        made.write(0, 4, fill: 1)
        let bytes = made.bytes
        for length in [512, 513, 1023, 1024, bytes.count - 1] {
            #expect(throws: WriteLogError.self) { try read(Array(bytes.prefix(length))) }
        }
        #expect(try read(bytes).entries.count == 1)
    }
}

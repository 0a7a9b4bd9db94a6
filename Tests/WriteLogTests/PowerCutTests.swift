import Testing
import WriteLog

@Suite struct PowerCutTests {
    @Test("There is a cut at each flush and FUA write that makes something durable")
    func cuts() throws {
        var made = HandMade()
        made.flush()  // 0: what was there in the beginning
        made.flush()  // 1: two writes may be under way after it
        made.fua(0, fill: 1)
        made.write(1, fill: 2)
        made.flush()  // 4
        made.mark("m")
        made.flush()  // 6: nothing is new
        let log = try made.read()
        #expect(log.points == [0, 1, 2, 4, 6])
        #expect(
            log.cuts(parts: HandMade.parts) == [
                PowerCut(point: 0, inFlight: .lost),
                PowerCut(point: 1, inFlight: .scattered),
                PowerCut(point: 2, inFlight: .torn),
                PowerCut(point: 2, inFlight: .lost),
                PowerCut(point: 4, inFlight: .lost),
            ])
    }

    @Test("What no flush or FUA write made durable is lost")
    func lost() throws {
        var made = HandMade()
        made.write(0, 2, fill: 1)
        made.write(1, fill: 2)
        made.flush()  // 2
        made.fua(5, fill: 3)  // 3
        made.write(6, fill: 4)
        made.write(0, fill: 9)
        let cuts = [2, 3].map { PowerCut(point: $0, inFlight: .lost) }
        let images = try made.images(after: cuts).map { Array(sectors($0)[0..<8]) }
        #expect(images[0] == [1, 2, 255, 255, 255, 255, 255, 255])
        #expect(images[1] == [1, 2, 255, 255, 255, 3, 255, 255])
    }

    @Test("Scattered, plain writes up to the next flush come or not, whole or in part")
    func scattered() throws {
        var made = HandMade()
        made.flush()
        made.fua(0, fill: 1)
        made.write(2, 4, fill: 2)
        made.write(8, 1, fill: 3)
        made.flush()
        made.write(12, 4, fill: 4)
        let cut = PowerCut(point: 0, inFlight: .scattered)
        var seen: Set<[UInt8]> = []
        #expect(
            try made.images(after: [cut], seed: 1).map { sectors($0) }
                == made.images(after: [cut], seed: 1).map { sectors($0) })
        for seed in UInt64(0)..<400 {
            let found = try sectors(#require(made.images(after: [cut], seed: seed).first))
            // The FUA write is there, what comes after the next flush is not.
            #expect(found[0] == 1 && found[12...].allSatisfy { $0 == 255 })
            #expect(found[1] == 255 && found[6...7].allSatisfy { $0 == 255 })
            #expect(found[2..<6].allSatisfy { $0 == 2 || $0 == 255 })
            #expect(found[8] == 3 || found[8] == 255)
            seen.insert(Array(found[2..<6]))
        }
        // Nothing, all, and every part of it.
        #expect(seen.count == 16)
    }

    @Test("Torn, some sectors of the FUA write are there, and nothing that came later")
    func torn() throws {
        var made = HandMade()
        made.write(0, fill: 1)
        made.flush()
        made.fua(4, 3, fill: 2)  // 2
        made.write(8, fill: 3)
        made.flush()
        let cut = PowerCut(point: 2, inFlight: .torn)
        var seen: Set<[UInt8]> = []
        for seed in UInt64(0)..<100 {
            let found = try sectors(#require(made.images(after: [cut], seed: seed).first))
            #expect(found[0] == 1 && found[8] == 255)
            seen.insert(Array(found[4..<7]))
        }
        #expect(seen.count == 8)
    }

    @Test("What a cut left under way is not there at the next one")
    func undone() throws {
        var made = HandMade()
        made.flush()
        made.fua(0, fill: 1)  // 1
        made.write(1, 8, fill: 2)
        made.flush()  // 3
        made.fua(0, fill: 3)  // 4
        let cuts = [
            PowerCut(point: 0, inFlight: .scattered), PowerCut(point: 1, inFlight: .torn),
            PowerCut(point: 1, inFlight: .lost), PowerCut(point: 4, inFlight: .torn),
        ]
        for seed in UInt64(0)..<20 {
            let images = try made.images(after: cuts, seed: seed).map { sectors($0) }
            #expect(images[2][0] == 1 && images[2][1...].allSatisfy { $0 == 255 })
            #expect(
                images[3][1..<9].allSatisfy { $0 == 2 } && images[3][9...].allSatisfy { $0 == 255 })
        }
    }

    @Test("With separate caches a flush of one part makes nothing of another durable")
    func separate() throws {
        var made = HandMade()
        made.write(0, fill: 1)
        made.write(8, fill: 2)
        made.flush(8)  // 2
        made.fua(9, fill: 3)  // 3
        made.flush(0)  // 4
        let cuts = try made.read().cuts(parts: HandMade.parts)
        func separate(_ point: Int, _ inFlight: PowerCut.InFlight) -> PowerCut {
            PowerCut(point: point, inFlight: inFlight, hasSeparateCaches: true)
        }
        // At 4 nothing is left in either.
        #expect(
            cuts.filter(\.hasSeparateCaches) == [
                separate(2, .lost), separate(2, .scattered), separate(3, .lost),
                separate(3, .scattered),
            ])
        #expect(cuts.map(\.description).contains("at 2, separate, scattered"))
        let log = try made.read()
        #expect(
            [1, 2, 3, 4].map { log.unflushed(at: $0, in: HandMade.parts[0], of: HandMade.parts) }
                == [1, 1, 1, 0])
        let images = try made.images(after: [
            PowerCut(point: 2, inFlight: .lost), separate(2, .lost), separate(3, .lost),
            separate(4, .lost),
        ]).map { sectors($0) }
        #expect(images.map { $0[0] } == [1, 255, 255, 1])
        #expect(images.map { $0[8] } == [2, 2, 2, 2])
        #expect(images.map { $0[9] } == [255, 255, 3, 3])
        let scattered = try (UInt64(0)..<20).map { seed in
            try #require(made.images(after: [separate(2, .scattered)], seed: seed).first)
        }
        #expect(Set(scattered.map { sectors($0)[0] }) == [1, 255])
    }

    @Test(
        "Of a log that doesn't tell which part was flushed there are no cuts with separate caches")
    func untold() throws {
        var made = HandMade()
        made.write(8, fill: 1)
        made.flush(0)
        #expect(try !made.read().cuts(parts: HandMade.parts).contains { $0.hasSeparateCaches })
    }

    @Test("What a FUA write overwrote doesn't come back with a later flush")
    func overwritten() throws {
        var made = HandMade()
        made.write(0, 2, fill: 1)
        made.flush(8)
        made.fua(0, fill: 2)
        made.flush(0)  // 3
        let cut = PowerCut(point: 3, inFlight: .lost, hasSeparateCaches: true)
        #expect(try sectors(#require(made.images(after: [cut]).first))[0..<2] == [2, 1])
    }
}

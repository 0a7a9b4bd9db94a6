import Block
import FoundationEssentials
import Testing

@testable import Sessions

/// Sessions that others were merged into, in a chain as a value.
@Suite struct ChainSpanTests {
    private static let noContents = Fingerprint(
        size: ByteCount(4096), contents: Contents(), places: [])

    static func record(
        _ name: String, _ places: ClosedRange<Int>, state: SessionRecord.State = .closed,
        chain: String = "chain", _ change: (inout SessionRecord) -> Void = { _ in }
    ) throws -> SessionRecord {
        var record = SessionRecord(
            name: try #require(SessionName(name)), kind: .mount, state: state, device: "/dev/sda",
            deviceName: "sda", deviceKind: .block,
            identity: SourceIdentity(contents: Contents(), hardware: []), size: ByteCount(4096),
            activation: "1", store: places.lowerBound + 1, chain: chain, index: places.lowerBound,
            chunkSize: ByteCount(1024),
            openedAt: Date(timeIntervalSince1970: Double(places.lowerBound) * 100),
            baseline: noContents)
        if places.count > 1 { record.lastIndex = places.upperBound }
        record.closedAt = record.openedAt.addingTimeInterval(50)
        change(&record)
        return record
    }

    private func name(_ text: String) throws -> SessionName { try #require(SessionName(text)) }

    @Test("One that covers several places leaves no gap, in the middle and at the end")
    func covering() throws {
        let chain = Chain([
            try Self.record("a", 0...0), try Self.record("b", 1...3), try Self.record("e", 4...5),
        ])
        let route = try #require(chain.route(to: name("a"), next: 6))
        #expect(route.obstacles == [])
        #expect(route.members.map(\.text) == ["a", "b", "e"])
        #expect(chain.continuation == ChainPlace(id: "chain", index: 6))
        #expect(
            try chain.route(to: name("a"), next: 7)?.obstacles
                == [.gap(after: try name("e"), before: nil)])
    }

    @Test("A gap behind one that covers several places is still one")
    func gap() throws {
        let chain = Chain([try Self.record("a", 0...2), try Self.record("e", 4...4)])
        #expect(
            try chain.route(to: name("a"), next: 5)?.obstacles
                == [.gap(after: try name("a"), before: try name("e"))])
    }

    @Test("What is left of one that was merged is none of the chain")
    func merged() throws {
        let records = [
            try Self.record("a", 0...2), try Self.record("b", 1...1), try Self.record("c", 2...2),
            try Self.record("d", 3...3),
        ]
        #expect(Chain(records).members.map(\.name.text) == ["a", "d"])
        #expect(Chain.merged(records) == [try name("b"), try name("c")])
        #expect(try Chain(records).route(to: name("b")) == nil)
        // Of another chain, or only partly covered: nothing of the kind.
        #expect(
            Chain.merged([
                try Self.record("a", 0...2), try Self.record("b", 1...1, chain: "other"),
                try Self.record("c", 2...3), try Self.record("d", 0...0),
            ]) == [])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout SessionRecord, inout SessionRecord) -> Void
        let expected: String?
    }

    static let cases = [
        Case(testDescription: "two in a row", change: { _, _ in }, expected: nil),
        Case(
            testDescription: "one that was merged into already",
            change: { older, later in
                older.lastIndex = 2
                later.index = 3
            }, expected: nil),
        Case(
            testDescription: "a gap between them", change: { $1.index = 2 }, expected: "is missing"),
        Case(
            testDescription: "an open one", change: { $1.state = .open }, expected: "later is open"),
        Case(
            testDescription: "an invalid one", change: { $1.state = .invalid },
            expected: "later is invalid"),
        Case(
            testDescription: "into an invalid one", change: { older, _ in older.state = .invalid },
            expected: "older is invalid"),
        Case(
            testDescription: "a broken one", change: { $1.broken = "dd wrote" },
            expected: "while session later was open dd wrote"),
        Case(
            testDescription: "into a broken one", change: { older, _ in older.broken = "dd wrote" },
            expected: "while session older"),
        Case(
            testDescription: "another device's", change: { $1.size = ByteCount(8192) },
            expected: "another size"),
        Case(
            testDescription: "another chain's", change: { $1.chain = "other" },
            expected: "is missing"),
    ]

    @Test("What stands against merging a session into the one before it", arguments: cases)
    func obstacles(_ one: Case) throws {
        var older = try Self.record("older", 0...0)
        var later = try Self.record("later", 1...1)
        one.change(&older, &later)
        let obstacle = Chain.obstacle(toMerging: later, into: older)
        if let expected = one.expected {
            #expect(obstacle?.contains(expected) == true, "\(obstacle ?? "none")")
        } else {
            #expect(obstacle == nil)
        }
    }

    @Test("What comes of a merge begins as the older one did and ends as the later one")
    func absorbing() throws {
        let end = Fingerprint(size: ByteCount(8192), contents: Contents(), places: [])
        let older = try Self.record("older", 0...1) {
            $0.label = SessionLabel("kept")
            $0.pinned = true
            $0.doubt = "nobody wrote"
        }
        let later = try Self.record("later", 2...4) {
            $0.interrupted = true
            $0.end = end
            $0.label = SessionLabel("gone")
            $0.undoneBy = SessionName("older")
            $0.doubt = "nobody read"
        }
        let union = SessionRecord.Union(chunkSize: ByteCount(512), chunks: 7, bytes: 3000)
        let record = older.absorbing(later, union)
        #expect(record.name == older.name && record.places == 0...4 && record.store == older.store)
        #expect(record.state == .archived && record.interrupted && record.isPinned)
        #expect(record.end == end && record.closedAt == later.closedAt)
        #expect(record.openedAt == older.openedAt && record.label == SessionLabel("kept"))
        // Putting the older one's beginning back fits still.
        #expect(record.undoneBy == nil)
        #expect(record.doubt == "nobody wrote and that nobody read")
        #expect(record.chunkSize.bytes == 512 && record.chunks == 7 && record.bytes == 3000)
    }

    @Test("A place that nobody ever wrote makes a record unreadable, and one before its own")
    func hostile() throws {
        #expect(try Self.record("a", 3...9).fault == nil)
        for last in [2, -1, Int.max, Int(Int32.max) + 1] {
            let record = try Self.record("a", 3...3) { $0.lastIndex = last }
            #expect(record.fault == "lastIndex is not what it should be", "\(last)")
        }
    }
}

import Block
import FoundationEssentials
import Testing

@testable import Sessions

/// The chain as a value: tables of sessions, and what restoring one of them takes.
@Suite struct ChainValueTests {
    private static let noContents = Fingerprint(
        size: ByteCount(4096), contents: Contents(), places: [])

    /// `a` to `e`, in this order from index 0.
    private static func record(
        _ name: String, _ index: Int, state: SessionRecord.State = .closed,
        _ change: (inout SessionRecord) -> Void = { _ in }
    ) throws -> SessionRecord {
        var record = SessionRecord(
            name: try #require(SessionName(name)), kind: .mount, state: state, device: "/dev/sda",
            deviceName: "sda", deviceKind: .block,
            identity: SourceIdentity(contents: Contents(), hardware: []), size: ByteCount(4096),
            activation: "1", store: index + 1, chain: "chain", index: index,
            chunkSize: ByteCount(1024), openedAt: Date(timeIntervalSince1970: 0),
            baseline: noContents)
        change(&record)
        return record
    }

    private func name(_ text: String) throws -> SessionName { try #require(SessionName(text)) }

    @Test("Restoring a session takes it and every later one, in order, whatever order they came in")
    func members() throws {
        let chain = Chain([
            try Self.record("c", 2), try Self.record("a", 0), try Self.record("b", 1),
        ])
        for (goal, taken) in [("a", ["a", "b", "c"]), ("b", ["b", "c"]), ("c", ["c"])] {
            let route = try #require(chain.route(to: name(goal), next: 3))
            #expect(route.members.map(\.text) == taken)
            #expect(route.obstacles == [] && route.conditions == [])
            #expect(
                try chain.undone(byRestoring: name(goal)).map(\.text) == Array(taken.dropFirst()))
        }
        #expect(try chain.route(to: name("d")) == nil)
        #expect(chain.continuation == ChainPlace(id: "chain", index: 3))
    }

    @Test(
        "Before the last mount is before its first checkpoint, and nowhere once that was put back",
        arguments: [
            ("m", "a"), ("mm", "b"), ("mo", "a"), ("mc", "a"), ("mmcc", "b"), ("mmcco", "b"),
            ("oc", "b"), ("c", "a"), ("mr", nil), ("mcr", nil), ("mro", nil), ("mrm", "c"),
            ("o", nil), ("r", nil), ("i", "a"), ("mi", "b"), ("mrl", "a"), ("mrlc", "a"),
            ("mom", "c"), ("", nil), ("mmp", "a"), ("mpo", "a"), ("mpr", nil), ("mpm", "c"),
        ] as [(String, String?)])
    func beforeLastMount(kinds: String, wanted: String?) throws {
        let records = try kinds.enumerated().map { index, kind in
            try Self.record(String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index))), index) { one in
                one.kind =
                    switch kind {
                    case "o", "r", "i", "p": .offline
                    case "c": .checkpoint
                    default: .mount
                    }
                // r: a restore; p: one that came to no end; l: a mount that came into one which went on; i: cut
                // short, and never named.
                if "rlp".contains(kind) { one.restoreOf = SessionName("a") }
                one.isPartOfRestore = kind == "p"
                one.interrupted = kind == "i"
            }
        }
        #expect(Chain(records).beforeLastMount?.text == wanted)
    }

    @Test("Of two copies of a session the first is taken")
    func copies() throws {
        let chain = Chain([
            try Self.record("a", 0), try Self.record("a", 0, state: .invalid),
            try Self.record("b", 1),
        ])
        #expect(try chain.route(to: name("a"))?.obstacles == [])
        #expect(chain.members.count == 2)
    }

    @Test("The clock may step back: the place in the chain is what counts")
    func clock() throws {
        let chain = Chain([
            try Self.record("a", 0) { $0.openedAt = Date(timeIntervalSince1970: 9) },
            try Self.record("b", 1) { $0.openedAt = Date(timeIntervalSince1970: 1) },
        ])
        #expect(chain.members.map(\.name.text) == ["a", "b"])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Restoring `a` of `a` to `d`, with this change to one of them; nil takes it away.
        let changed: String
        let change: (@Sendable (inout SessionRecord) -> Void)?
        let next: Int?
        let expected: @Sendable () throws -> [Chain.Obstacle]
    }

    private static func named(_ text: String) throws -> SessionName {
        try #require(SessionName(text))
    }

    static let cases = [
        Case(
            testDescription: "an open one", changed: "d", change: { $0.state = .open }, next: 4,
            expected: { [.open(try named("d"))] }),
        Case(
            testDescription: "an archived one", changed: "c", change: { $0.state = .archived },
            next: 4, expected: { [] }),
        Case(
            testDescription: "an invalid one, with its reason", changed: "c",
            change: {
                $0.state = .invalid
                $0.loss = "its store is gone"
            }, next: 4, expected: { [.invalid(try named("c"), "its store is gone")] }),
        Case(
            testDescription: "a broken one", changed: "b", change: { $0.broken = "dd wrote" },
            next: 4, expected: { [.broken(try named("b"), "dd wrote")] }),
        Case(
            testDescription: "one missing in between", changed: "b", change: nil, next: 4,
            expected: { [.gap(after: try named("a"), before: try named("c"))] }),
        Case(
            testDescription: "the last one missing", changed: "d", change: nil, next: 4,
            expected: { [.gap(after: try named("c"), before: nil)] }),
        Case(
            testDescription: "the last one missing, and nobody knows", changed: "d", change: nil,
            next: nil, expected: { [] }),
        Case(
            testDescription: "one that was put back before", changed: "a",
            change: { $0.undoneBy = SessionName("z") }, next: 4,
            expected: { [.undone(by: try named("z"))] }),
        Case(
            testDescription: "a later one that was put back before", changed: "c",
            change: { $0.undoneBy = SessionName("z") }, next: 4, expected: { [] }),
        Case(
            testDescription: "one that begins inside a restore", changed: "a",
            change: { $0.continues = SessionName("y") }, next: 4,
            expected: { [.midway(began: try named("y"))] }),
    ]

    @Test("What stands against restoring the first of four", arguments: cases)
    func obstacles(_ one: Case) throws {
        var records: [SessionRecord] = []
        for (index, name) in ["a", "b", "c", "d"].enumerated() {
            if name != one.changed {
                records.append(try Self.record(name, index))
            } else if let change = one.change {
                records.append(try Self.record(name, index, change))
            }
        }
        let route = try #require(try Chain(records).route(to: name("a"), next: one.next))
        #expect(try route.obstacles == one.expected())
    }

    @Test("What nothing lifts is told before what --accept-writes lifts")
    func order() throws {
        let chain = Chain([
            try Self.record("a", 0) { $0.broken = "x" }, try Self.record("c", 2, state: .invalid),
        ])
        let route = try #require(chain.route(to: name("a"), next: 5))
        #expect(route.obstacles.first == .invalid(try name("c"), nil))
        #expect(route.obstacles.count == 4)
        #expect(route.obstacles.dropFirst().allSatisfy { $0.isLiftedByAcceptingWrites })
    }

    @Test("A session that a crash cut short makes a claim conditional, and stands against nothing")
    func conditions() throws {
        let chain = Chain([
            try Self.record("a", 0), try Self.record("b", 1) { $0.interrupted = true },
        ])
        let route = try #require(chain.route(to: name("a"), next: 2))
        #expect(route.obstacles == [])
        #expect(route.conditions == [.interrupted(try name("b"))])
        #expect(try chain.route(to: name("b"), next: 2)?.conditions.count == 1)
    }
}

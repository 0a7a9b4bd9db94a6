import Block
import FoundationEssentials
import Testing

@testable import Sessions

/// The rules as a value: tables of sessions, and which of them go.
@Suite struct RetentionTests {
    private static let gibibyte: UInt64 = 1 << 30

    /// Sessions are opened every 100 s from 0 on and close 50 s later, a GiB each.
    private static func candidate(
        _ name: String, _ index: Int, chain: String = "chain", device: ByteText = "/dev/sda",
        base: ByteText = "/s", obstacle: String? = nil,
        _ change: (inout SessionRecord) -> Void = { _ in }
    ) throws -> Retention.Candidate {
        Retention.Candidate(
            record: try ChainSpanTests.record(name, index...index, chain: chain) {
                $0.device = device
                change(&$0)
            }, bytes: gibibyte, base: base, obstacle: obstacle)
    }

    private static func plan(
        _ candidates: [Retention.Candidate], free: UInt64 = 50 * gibibyte,
        _ change: (inout RetentionSettings) -> Void = { _ in }
    ) -> Retention.Plan {
        var settings = RetentionSettings()
        change(&settings)
        let size = ByteCount(100 * gibibyte)
        let space = Retention.Space(
            free: ByteCount(free), size: size,
            minFree: settings.minFree(of: size, reserve: ByteCount(gibibyte)))
        return Retention(
            candidates: candidates, settings: settings, spaces: ["/s": space]
        ).plan()
    }

    /// `a` to `d`, one after the other.
    private static func four(
        _ change: (inout SessionRecord) -> Void = { _ in }
    ) throws -> [Retention.Candidate] {
        try ["d", "b", "a", "c"].map { name in
            let index = try #require(["a", "b", "c", "d"].firstIndex(of: name))
            return try candidate(name, index, change)
        }
    }

    private static func text(_ plan: Retention.Plan) -> [String] {
        plan.removals.map { removal in
            switch removal.way {
            case .deleted: "\(removal.session) \(removal.rule.rawValue)"
            case .merged(let older): "\(removal.session)>\(older) \(removal.rule.rawValue)"
            }
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var pinned: Set<String> = []
        var change: @Sendable (inout SessionRecord) -> Void = { _ in }
        var free: UInt64 = 50 << 30
        var settings: @Sendable (inout RetentionSettings) -> Void = { _ in }
        let gone: [String]
    }

    static let cases = [
        Case(testDescription: "with room and no rule all stay", gone: []),
        Case(
            testDescription: "a byte too little takes the oldest", free: 10 << 30 - 1,
            gone: ["a min-free"]),
        Case(
            testDescription: "so many go that it is enough, and no more", free: 8 << 30,
            gone: ["a min-free", "b min-free"]),
        Case(
            testDescription: "min-free at 0 takes none", free: 0,
            settings: { $0.minFree = .percent(0) }, gone: []),
        Case(
            testDescription: "no less than store.reserve", free: 0,
            settings: { $0.minFree = .bytes(ByteCount(1)) }, gone: ["a min-free"]),
        Case(
            testDescription: "the last two stay", settings: { $0.rules.keepLast = 2 },
            gone: ["a keep", "b keep"]),
        Case(
            testDescription: "those of the 150 s before the latest stay",
            settings: { $0.rules.keepWithin = 150 }, gone: ["a keep", "b keep"]),
        Case(
            testDescription: "what either rule keeps stays",
            settings: {
                $0.rules.keepWithin = 150
                $0.rules.keepLast = 3
            }, gone: ["a keep"]),
        Case(
            testDescription: "at most 25 GiB of 100", settings: { $0.rules.maxSize = .percent(25) },
            gone: []),
        Case(
            testDescription: "at most 2 GiB",
            settings: { $0.rules.maxSize = .bytes(ByteCount(2 << 30)) },
            gone: ["a max-size", "b max-size"]),
        Case(
            testDescription: "by number, then by size, then by room", free: 9 << 30,
            settings: {
                $0.rules.keepLast = 3
                $0.rules.maxSize = .bytes(ByteCount(2 << 30))
            }, gone: ["a keep", "b max-size"]),
        Case(
            testDescription: "a pinned one stays, and what goes by number is merged into it",
            pinned: ["b"], settings: { $0.rules.keepLast = 1 }, gone: ["a keep", "c>b keep"]),
        Case(
            testDescription: "what is merged leaves no gap for the next",
            pinned: ["a"], settings: { $0.rules.keepLast = 1 }, gone: ["b>a keep", "c>a keep"]),
        Case(
            testDescription: "by room a pinned one keeps those after it", pinned: ["b"],
            free: 5 << 30, gone: ["a min-free"]),
        Case(
            testDescription: "an open one stays", change: { if $0.index == 3 { $0.state = .open } },
            free: 1 << 30, gone: ["a min-free", "b min-free", "c min-free"]),
        Case(
            testDescription: "an invalid one goes as the oldest",
            change: { if $0.index == 0 { $0.state = .invalid } },
            settings: { $0.rules.keepLast = 3 }, gone: ["a keep"]),
        Case(
            testDescription: "an invalid one is merged into none", pinned: ["a"],
            change: { if $0.index == 1 { $0.state = .invalid } },
            settings: { $0.rules.keepLast = 1 }, gone: []),
        Case(
            testDescription: "another device's rules",
            settings: { settings in
                settings.rules.keepLast = 1
                var own = RetentionRules()
                own.keepLast = 3
                settings.devices = ["sda": own]
            }, gone: ["a keep"]),
    ]

    @Test("Which of four sessions go, and how", arguments: cases)
    func table(_ one: Case) throws {
        let candidates = try Self.four { record in
            record.pinned = one.pinned.contains(record.name.text)
            one.change(&record)
        }
        let plan = Self.plan(candidates, free: one.free, one.settings)
        #expect(Self.text(plan) == one.gone)
    }

    @Test(
        "A clock that was wrong for a time changes neither which sessions are the last nor how old others are"
    )
    func wrongClock() throws {
        let candidates = try Self.four { record in
            // Years later, and it was put right after that.
            guard record.name.text == "b" else { return }
            record.openedAt.addTimeInterval(1e8)
            record.closedAt?.addTimeInterval(1e8)
        }
        #expect(Self.text(Self.plan(candidates) { $0.rules.keepLast = 2 }) == ["a keep", "b keep"])
        #expect(Self.text(Self.plan(candidates) { $0.rules.keepWithin = 3600 }) == [])
        let begun = Chain.beginnings(of: candidates.map(\.record))
        let order = ["a", "b", "c", "d"].compactMap { SessionName($0).flatMap { begun[$0] } }
        #expect(order.count == 4 && order == order.sorted() && order[1] == order[3])
    }

    @Test("The oldest of all devices goes first, and each chain from its own oldest on")
    func devices() throws {
        let candidates = try [
            Self.candidate("a", 0), Self.candidate("c", 2),
            Self.candidate("b", 1, chain: "other", device: "/dev/sdb"),
            // The same device's earlier chain.
            Self.candidate("z", 0, chain: "earlier") {
                $0.openedAt = Date(timeIntervalSince1970: -9)
            },
        ]
        let plan = Self.plan(candidates, free: 7 << 30)
        #expect(plan.removals.map(\.session.text) == ["z", "a", "b"])
        // The earlier chain counts among the device's last ones.
        let last = Self.plan(candidates) { $0.rules.keepLast = 2 }
        #expect(last.removals.map(\.session.text) == ["z"])
    }

    @Test("What can't be reached is said, with how much is missing")
    func shortfall() throws {
        let pinned = try Self.four { $0.pinned = true }
        let space = Self.plan(pinned, free: 7 << 30)
        #expect(space.removals.isEmpty)
        #expect(
            space.shortfalls == [Shortfall(rule: .space, place: "/s", bytes: 3 * Self.gibibyte)])
        let size = Self.plan(pinned) { $0.rules.maxSize = .bytes(ByteCount(Self.gibibyte)) }
        #expect(
            size.shortfalls == [Shortfall(rule: .size, place: "/dev/sda", bytes: 3 * Self.gibibyte)]
        )
        #expect(size.shortfalls[0].description.contains("pinned"))
    }

    @Test("What is in use stays, and so does what it needs")
    func obstacle() throws {
        let candidates = try [
            Self.candidate("a", 0, obstacle: "a restore was cut short"), Self.candidate("b", 1),
        ]
        #expect(Self.plan(candidates, free: 0).removals.isEmpty)
    }

    @Test("Sessions of another file system free nothing here")
    func bases() throws {
        let candidates = try [
            Self.candidate("a", 0, base: "/other"), Self.candidate("b", 0, chain: "other"),
        ]
        #expect(Self.plan(candidates, free: 9 << 30).removals.map(\.session.text) == ["b"])
    }

    @Test("A time is a number with its unit; what is none is refused")
    func ages() {
        let seconds: [String: UInt64] = ["30d": 30 * 86400, "12h": 12 * 3600, "2w": 14 * 86400]
        for (text, age) in seconds { #expect(RetentionRules.age(parsing: text) == age, "\(text)") }
        for text in ["", "d", "0d", "30", "-1d", "+1d", "1.5d", "1m", "1 d", "99999999w", "36526d"]
        {
            #expect(RetentionRules.age(parsing: text) == nil, "\(text)")
        }
    }
}

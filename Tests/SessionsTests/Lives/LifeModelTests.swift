import Testing

@testable import Lives

/// The model of lives finds what is wrong with sessions that go.
@Suite struct LifeModelTests {
    /// Sessions of one chain, opened one second after the other.
    private static func listed(_ count: Int, chain: String = "c") -> [ListedSession] {
        (0..<count).map { index in
            var one = ListedSession(
                name: "\(chain)\(index)", store: "\(chain)-\(index)",
                position: ChainPosition(chain: chain, index: index))
            one.openedAt = "2026-11-24T10:00:0\(index)Z"
            one.device = "/dev/sda"
            return one
        }
    }

    struct Plan: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let rule: PruneRule
        let gone: [Departure]
        let isRight: Bool

        init(_ what: String, _ rule: PruneRule, _ gone: [(Int, Int?)], _ isRight: Bool) {
            testDescription = what
            self.rule = rule
            self.gone = gone.map { Departure("c\($0.0)", into: $0.1.map { "c\($0)" }) }
            self.isRight = isRight
        }
    }

    /// Five of 10 KiB each, of which the second is pinned and the last is open.
    static let plans = [
        Plan("what the last two leave", .keepLast(2), [(0, nil), (2, 1)], true),
        Plan("one of the last", .keepLast(3), [(0, nil), (2, 1)], false),
        Plan("one too few", .keepLast(2), [(0, nil)], false),
        Plan("a pinned one", .keepLast(2), [(0, nil), (1, nil), (2, nil)], false),
        Plan("one deleted that an older one needs", .keepLast(2), [(0, nil), (2, nil)], false),
        Plan("one merged over another", .keepLast(1), [(0, nil), (2, 1), (3, 2)], false),
        Plan("two merged into one", .keepLast(1), [(0, nil), (2, 1), (3, 1)], true),
        Plan("one twice", .keepLast(2), [(0, nil), (2, 1), (2, 1)], false),
        Plan("room made", .maxSize(40), [(0, nil)], true),
        Plan("no more than can be", .maxSize(10), [(0, nil)], true),
        Plan("no room made", .maxSize(40), [], false),
        Plan("more room than was asked for", .maxSize(50), [(0, nil)], false),
        Plan("a merge for the sake of room", .maxSize(10), [(0, nil), (2, 1)], false),
        Plan("what is missing", .minFree(5), [(0, nil)], true),
        Plan("nothing missing", .minFree(0), [(0, nil)], false),
        Plan("nothing gone, and something missing", .minFree(1), [], false),
    ]

    @Test("A plan that a rule doesn't make is found", arguments: plans)
    func plan(_ plan: Plan) {
        var listed = Self.listed(5)
        listed[1].isPinned = true
        listed[4].isCurrent = true
        let bytes = [UInt64](repeating: 10 << 10, count: 5)
        let problems = Pruning(plan.rule, listed, bytes: bytes).problems(with: plan.gone)
        #expect(problems.isEmpty == plan.isRight, "\(problems)")
    }

    private static func model() -> Model {
        var model = Model(device: [9])
        for (index, one) in listed(4).enumerated() {
            model.sessions.append(
                Model.Known(listed: one, begin: [UInt8(index)], end: [UInt8(index + 1)]))
        }
        return model
    }

    @Test("One in the middle goes into the one before it, which then ends where it ended")
    func merged() throws {
        var model = Self.model()
        model.sessions[2].listed.isInterrupted = true
        #expect(model.departing(model.sessions[0]).into == nil)
        #expect(model.departing(model.sessions[2]).into == "c1")
        model.remove(model.sessions[2])
        let older = try #require(model.known("c1"))
        #expect(older.listed.position.index == 1 && older.listed.lastIndex == 2)
        #expect(older.begin == [1] && older.end == [3] && older.listed.isInterrupted)
        #expect(model.departing(model.sessions[2]).refusals.isEmpty)
        model.remove(model.sessions[0])
        #expect(model.sessions.map(\.listed.name) == ["c1", "c3"])
        #expect(model.known("c1")?.begin == [1])
    }

    @Test("What has to stay is refused, with the exit status that says why")
    func refused() {
        func refusals(_ index: Int, _ change: (inout Model) -> Void) -> Set<Int> {
            var model = Self.model()
            change(&model)
            return model.departing(model.sessions[index]).refusals
        }
        #expect(refusals(0) { $0.sessions[0].listed.isPinned = true } == [64])
        #expect(refusals(1) { $0.sessions[0].listed.isPinned = true } == [])
        #expect(refusals(0) { $0.sessions[0].listed.isHalfway = true } == [75])
        #expect(refusals(1) { $0.sessions[0].listed.isHalfway = true } == [75])
        #expect(refusals(0) { $0.sessions[0].listed.isInvalid = true } == [])
        for index in [1, 2] {
            #expect(refusals(index) { $0.sessions[1].listed.isInvalid = true } == [65])
            #expect(refusals(index) { $0.sessions[1].listed.isBroken = true } == [65])
        }
        #expect(refusals(1) { $0.sessions.remove(at: 1) } == [65])
        #expect(refusals(1) { $0.sessions[0].isDamaged = true } == [65])
    }

    @Test(
        "A session that is gone and had to stay, a pin that is lost, a merge that isn't: all are found"
    )
    func observed() {
        var model = Self.model()
        model.sessions[1].listed.isPinned = true
        let listed = model.sessions.map(\.listed)
        #expect(model.observe(listed, isContinued: true).isEmpty)
        var unpinned = listed
        unpinned[1].isPinned = false
        var wide = listed
        wide[1].lastIndex = 2
        for wrong in [unpinned, wide, Array(listed.dropFirst())] {
            var other = model
            #expect(other.observe(wrong, isContinued: true).count == 1)
        }
        // A process died as it deleted two of them.
        var other = model
        var left = [listed[1], listed[3]]
        let step = Step(.delete)
        #expect(other.note(goneOf: ["c0", "c2"], pinned: step, in: left).isEmpty)
        // The pinned one doesn't cover the other one's place.
        #expect(other.observe(left, isContinued: true).count == 1)
        left[0].lastIndex = 2
        other = model
        #expect(other.note(goneOf: ["c0", "c2"], pinned: step, in: left).isEmpty)
        #expect(other.observe(left, isContinued: true).isEmpty)
        #expect(model.note(goneOf: ["c1"], pinned: step, in: [listed[0]]).count == 1)
    }
}

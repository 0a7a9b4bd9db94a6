import Block
import FoundationEssentials

/// The sessions of a device in their order, as a value: what restoring one of them takes, and what
/// stands against it. It knows no file and no kernel.
struct Chain: Sendable {
    /// What stands against a restore.
    enum Obstacle: Hashable, Sendable {
        /// This session, needed for it, is open.
        case open(SessionName)
        /// This session, needed for it, has missed writes: why, if that is known.
        case invalid(SessionName, String?)
        /// A session after this one, and before the other or the device's present state, isn't there.
        case gap(after: SessionName?, before: SessionName?)
        /// While this session was open, something wrote past it.
        case broken(SessionName, String)
        /// The device was put back to before this session, which is earlier, and nothing captured that.
        case undone(by: SessionName)
        /// The restore of this session, which is earlier, was cut short.
        case unfinished(SessionName)
        /// The device is in another chain by now.
        case written
        /// Where it begins is no state that the device ever showed: it is the middle of a restore.
        case midway(began: SessionName)

        /// Whether `--accept-writes` lifts it: the session's chunks can be put back all the same, and
        /// what the device then is nobody knows.
        var isLiftedByAcceptingWrites: Bool {
            switch self {
            case .open, .invalid: false
            case .gap, .broken, .undone, .unfinished, .written, .midway: true
            }
        }
    }

    /// What can't be known of a restore, and so stands beside what is said of it.
    enum Condition: Hashable, Sendable {
        /// A crash cut this session short.
        case interrupted(SessionName)
        /// Something was seen that may have been a write past the origin.
        case doubt(SessionName, String)
        /// For a time after this session nobody would have seen a write.
        case unwatched(after: SessionName)
        /// The restore of this session was cut short, and goes on.
        case resumed(SessionName)
    }

    /// What restoring a session takes.
    struct Route: Sendable {
        /// The session and every later one, in order.
        let members: [SessionName]
        /// Everything that stands against it, the gravest first.
        let obstacles: [Obstacle]
        let conditions: [Condition]
    }

    /// In order.
    let members: [SessionRecord]

    /// - Parameter records: those of one chain, in any order. Of two copies of one session the first
    ///   is taken, and none that was merged into another one.
    init(_ records: [SessionRecord]) {
        var seen = Self.merged(records)
        members = records.filter { seen.insert($0.name).inserted }
            .sorted { ($0.index, $0.openedAt) < ($1.index, $1.openedAt) }
    }

    /// The sessions that others cover, since they were merged into those: what is still there of them is
    /// about to go.
    static func merged(_ records: [SessionRecord]) -> Set<SessionName> {
        let wide = records.filter { $0.lastIndex != nil }
        guard !wide.isEmpty else { return [] }
        return Set(
            records.filter { record in
                wide.contains { other in
                    other.chain == record.chain && other.index < record.index
                        && other.places.upperBound >= record.places.upperBound
                }
            }.map(\.name))
    }

    /// Sessions of any chains, the oldest first: each chain in its own order, whatever the clock said.
    static func inOrder<Element>(
        _ sessions: [Element], _ record: (Element) -> SessionRecord
    ) -> [Element] {
        let begun = beginnings(of: sessions.map(record))
        func place(_ one: SessionRecord) -> (Date, Int) {
            (begun[one.name] ?? one.openedAt, one.index)
        }
        return sessions.sorted { place(record($0)) < place(record($1)) }
    }

    /// When each session can have begun, by its place in its chain: not before those that it follows, whatever the
    /// clock said then.
    static func beginnings(of records: [SessionRecord]) -> [SessionName: Date] {
        var beginnings: [SessionName: Date] = [:]
        for members in Dictionary(grouping: records, by: \.chain).values {
            var latest = Date.distantPast
            for record in members.sorted(by: { $0.index < $1.index }) {
                latest = max(latest, record.openedAt)
                beginnings[record.name] = latest
            }
        }
        return beginnings
    }

    /// - Parameter next: the place of the next session, where the device's registration says it.
    func route(to name: SessionName, next: Int? = nil) -> Route? {
        guard let first = members.firstIndex(where: { $0.name == name }) else { return nil }
        let taken = members[first...]
        let goal = members[first]
        var obstacles: [Obstacle] = []
        var conditions: [Condition] = []
        for member in taken {
            switch member.state {
            case .closed, .archived: break
            case .open: obstacles.append(.open(member.name))
            case .invalid: obstacles.append(.invalid(member.name, member.loss))
            }
            if let broken = member.broken { obstacles.append(.broken(member.name, broken)) }
            if member.interrupted { conditions.append(.interrupted(member.name)) }
            if let doubt = member.doubt { conditions.append(.doubt(member.name, doubt)) }
            if member.unwatchedAfter == true { conditions.append(.unwatched(after: member.name)) }
        }
        for (member, following) in zip(taken, taken.dropFirst())
        where following.index != member.places.upperBound + 1 {
            obstacles.append(.gap(after: member.name, before: following.name))
        }
        if let last = taken.last, let next, last.places.upperBound + 1 != next {
            obstacles.append(.gap(after: last.name, before: nil))
        }
        if let undone = goal.undoneBy { obstacles.append(.undone(by: undone)) }
        if let began = goal.continues { obstacles.append(.midway(began: began)) }
        // What nothing lifts comes first: it is what is to be told.
        let grave = obstacles.filter { !$0.isLiftedByAcceptingWrites }
        return Route(
            members: taken.map(\.name),
            obstacles: grave + obstacles.filter(\.isLiftedByAcceptingWrites),
            conditions: conditions)
    }

    /// The session that leads back to before the last mount, its checkpoints and what came after it; nil where
    /// there was none since the device was put back. Where that has ended in the middle it is the one that was
    /// being restored.
    var beforeLastMount: SessionName? {
        guard
            var place = members.lastIndex(where: { $0.isOfMount || $0.restoreOf != nil }),
            members[place].isOfMount || members[place].isOfPartOfRestore
        else { return nil }
        while members[place].kind == .checkpoint, place > 0, members[place - 1].isOfMount {
            place -= 1
        }
        // What was mounted in the middle of a restore showed what that ends in, or was to end in.
        return members[place].restoreOf ?? members[place].name
    }

    /// The one that is meant where none is named: the last, but for what restores have left that came to no end.
    var latest: SessionName? {
        (members.last { !$0.isOfPartOfRestore } ?? members.last)?.name
    }

    /// The later sessions that a restore to `name`, which nothing captures, takes the ground from.
    func undone(byRestoring name: SessionName) -> [SessionName] {
        Array((route(to: name)?.members ?? []).dropFirst())
    }

    /// Where a device that is as its last session left it goes on; nil while one is open.
    var continuation: ChainPlace? {
        guard let last = members.last, last.state != .open else { return nil }
        return ChainPlace(id: last.chain, index: last.places.upperBound + 1)
    }
}

extension Chain.Obstacle: CustomStringConvertible {
    /// As the end of a sentence about the device.
    var description: String {
        switch self {
        case .open(let name): "session \(name) is open"
        case .invalid(let name, let reason):
            "session \(name), which this takes, is invalid"
                + (reason.map { ": \($0)" } ?? "")
        case .gap(let after?, let before?):
            "a session between \(after) and \(before) is missing"
        case .gap(let after?, nil): "a session after \(after) is missing"
        case .gap(nil, let before?): "a session before \(before) is missing"
        case .gap(nil, nil): "a session is missing"
        case .broken(let name, let what): "while session \(name) was open \(what)"
        case .undone(let name): "it was put back to before session \(name), which was earlier"
        case .unfinished(let name):
            "a restore of session \(name), which is earlier, was cut short, and must be run again"
        case .written: "it is another device, or was written since without being captured"
        case .midway(let began):
            "it begins in the middle of a restore, which began in session \(began); restore that one"
        }
    }
}

extension Chain.Condition: CustomStringConvertible {
    /// What has to be true, as the end of a sentence.
    var description: String {
        switch self {
        case .interrupted(let name):
            "nothing wrote to it between the crash that cut session \(name) short and the boot after"
        case .doubt(_, let what): what
        case .unwatched(let name):
            "nothing wrote to it after session \(name) while it was not activated"
        case .resumed(let name):
            "nothing else wrote to it since the restore of session \(name) was cut short"
        }
    }
}

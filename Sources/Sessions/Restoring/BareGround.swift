import Block
import ExceptionStore
import SystemPackage

/// What a device is that nothing captures, before a restore to it or a look at it.
extension BareRestore {
    /// What a restore stands on.
    struct Ground {
        let route: Restorer.Route
        let standing: Standing
        /// What stood against it, and the request lifts.
        let lifted: [String]

        /// What can't be known, and has to be true.
        var conditions: [Chain.Condition] {
            let known = route.conditions
            guard let own = standing.condition, !known.contains(own) else { return known }
            return known + [own]
        }
    }

    /// Whether the device is as the chain's last session left it, or a restore that was cut short.
    enum Standing {
        /// It surely isn't.
        case written
        /// An image that nobody has written to since.
        case untouched
        /// As far as samples tell; under this condition.
        case alike(Chain.Condition)

        /// Whether nothing speaks against it.
        var isWhole: Bool {
            if case .written = self { return false }
            return true
        }

        /// Whether nothing has come between that speaks against it.
        func isAsGood(as earlier: Standing) -> Bool {
            if case .untouched = earlier, case .alike = self { return false }
            return isWhole
        }

        var condition: Chain.Condition? {
            guard case .alike(let condition) = self else { return nil }
            return condition
        }
    }

    /// Looks at the device, and at what leads back from there.
    ///
    /// - Throws: `brokenChain` where it is not as the last session left it, `otherDevice`; what
    ///   `Restorer.lift` throws.
    func ground(_ path: FilePath, _ marker: RestoreMarker?) throws -> Ground {
        let route = try restorer.route(to: session, through: nil)
        var lifted = try restorer.lift(route.obstacles, session, request)
        try refuseStranger(path, &lifted)
        guard let last = route.members.last else {
            throw SessionsError.noSuchSession(request.session)
        }
        let standing = try standing(of: path, after: last, marker, route.members)
        if !standing.isWhole {
            let reason =
                "it is not as session \(last.record.name) left it; something has written to it since"
            guard request.acceptsWrites else {
                throw SessionsError.brokenChain(
                    device: device.text, session: session.record.name.text, reason: reason)
            }
            lifted.append(reason)
        }
        return Ground(route: route, standing: standing, lifted: lifted)
    }

    func standing(
        of path: FilePath, after last: Session, _ marker: RestoreMarker?, _ members: [Session]
    ) throws -> Standing {
        guard let end = last.record.end else { return .written }
        let now = try kernel.look(path, image: path)
        if now.agrees(with: end) {
            return now.isOfSameWrite(as: end)
                ? .untouched : .alike(.unwatched(after: last.record.name))
        }
        guard let marker, let left = marker.document, try left.names(path, kernel) else {
            return .written
        }
        let sources = try members.map { try catalogue.chunkSource(of: $0, cacheBytes: 0) }
        let isAsLeft = left.isAsLeft(now, from: end, towards: session.record.baseline) { range in
            Self.pieces(of: range, in: sources)
        }
        guard isAsLeft else { return .written }
        if let stopped = left.left, now.isOfSameWrite(as: stopped) { return .untouched }
        return .alike(.resumed(session.record.name))
    }

    /// How many pieces of a range the sources put back, one after another: up to two, which is enough.
    private static func pieces(of range: Range<UInt64>, in sources: [any ChunkSource]) -> Int {
        var pieces = 0
        var wasKept = false
        for sector in stride(from: range.lowerBound, to: range.upperBound, by: 512) {
            let isKept = sources.contains { $0.exceptions.count(in: sector..<sector + 1) > 0 }
            if isKept, !wasKept { pieces += 1 }
            if pieces == 2 { break }
            wasKept = isKept
        }
        return pieces
    }

    /// The session's own path may mean another device today.
    private func refuseStranger(_ path: FilePath, _ lifted: inout [String]) throws {
        guard request.device == nil else { return }
        let identity = session.record.identity
        let same: Bool
        switch session.record.deviceKind {
        case .block:
            same = try kernel.blockDevice(path).hardwareIdentity == identity.hardware
        case .image:
            let status = try kernel.status(path)
            same = status.inode == identity.inode && status.fileSystem == identity.fileSystem
        }
        if same { return }
        guard request.acceptsOtherDevice else {
            throw SessionsError.otherDevice(
                device: device.text, session: session.record.name.text)
        }
        lifted.append("it is another one than was activated")
    }
}

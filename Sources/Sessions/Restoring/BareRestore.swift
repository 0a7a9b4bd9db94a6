import Block
import ExceptionStore
import FoundationEssentials
import Restore
import SystemPackage

/// A restore to a device or file that is not activated: nothing captures it.
struct BareRestore {
    let restorer: Restorer
    let device: ByteText
    let session: Session
    let request: RestoreRequest
    let control: RestoreControl

    private var kernel: any Kernel { restorer.kernel }
    private var catalogue: Catalogue { restorer.catalogue }

    func run() throws -> RestoreOutcome {
        let path = try Files.resolve(device.path)
        guard try kernel.status(path).kind == .regular, !request.dryRun else {
            return try run(on: path)
        }
        return try ImageHold(kernel: kernel, layout: catalogue.layout).holding(path) {
            try run(on: path)
        }
    }

    private func run(on path: FilePath) throws -> RestoreOutcome {
        try refuseUsed(path)
        let target = try open(path)
        let marker = session.isForeign ? nil : RestoreMarker(of: session)
        let ground = try ground(path, marker)
        let (route, lifted) = (ground.route, ground.lifted)
        let verified = try restorer.verified(
            route.members, for: target, session, request, control)
        var report = verified.report
        var proof = RestoreProof.none
        if !request.dryRun {
            report = try write(
                verified, to: target, path, route.members, marker, ground.standing)
            proof = try restorer.proof(of: path, session)
        }
        try target.close()
        // Until its records say what has happened, its sessions stay.
        withExtendedLifetime(verified) {}
        return try restorer.conclude(
            RestoreOutcome(
                session: session, device: device, chain: route.members.map(\.record.name),
                report: report, undo: nil, isOnline: false, proof: proof, overridden: lifted,
                conditions: ground.conditions.map { "\($0)" }))
    }

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

    /// Whether it is the session's own device, named or not.
    private func isOwn(_ path: FilePath) -> Bool {
        guard session.hasOwnDevice else { return false }
        return request.device == nil
            || (try? Files.resolve(session.record.device.path)) == path
    }

    private func standing(
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

    /// From the first write on the device is no longer at the end of its chain, and none of the later
    /// sessions starts from what it then is; the marker says so, and what can be gone on with.
    private func write(
        _ verified: VerifiedPlan, to target: borrowing OwnedDescriptor, _ path: FilePath,
        _ members: [Session], _ marker: RestoreMarker?, _ standing: Standing
    ) throws -> RestoreReport {
        let last = members[members.count - 1]
        let isWhole = standing.isWhole
        // Verifying may have taken hours, in which nothing kept others from the device.
        try refuseUsed(path)
        guard
            try !isWhole || self.standing(of: path, after: last, marker, members).isWhole
        else {
            throw SessionsError.busy(
                device: device.text,
                reason: "something has written to it while the session was read",
                advice: "stop that, then restore")
        }
        let isOwn = isOwn(path)
        try marker?.begin(path, kernel)
        // A crash before the first write leaves them marked, too: an equal fingerprint doesn't prove
        // that nothing was written, so nobody can tell. The same restore, run again, completes it.
        let marked = members.dropFirst().filter { $0.record.undoneBy == nil }
        if isOwn {
            for session in marked { try mark(session, undoneBy: self.session.record.name) }
            // What is lifted over a break doesn't mend it.
            if !isWhole { try catalogue.change(last) { $0.end = nil } }
        }
        let report: RestoreReport
        do {
            report = try verified.apply(
                to: target, readBack: catalogue.configuration.readsBack, control: control)
        } catch {
            if error.targetTouched {
                try? marker?.stop(path, kernel, written: error.bytesWritten)
            } else {
                // Nothing has happened, and nothing is to say that something had.
                if isOwn {
                    for session in marked { try mark(session, undoneBy: nil) }
                    if !isWhole { try catalogue.change(last) { $0.end = last.record.end } }
                }
                try marker?.remove()
            }
            throw error.failure(session, path.string, isForeign: session.isForeign)
        }
        if isOwn, isWhole {
            // What was left out is in no session either.
            let end = try report.damage.isEmpty ? kernel.look(path, image: path) : nil
            try catalogue.change(last) { record in
                record.end = end
                // The new end hides that it hung on something.
                if standing.condition != nil { record.unwatchedAfter = true }
            }
        }
        try marker?.remove()
        return report
    }

    private func mark(_ session: Session, undoneBy name: SessionName?) throws(SessionsError) {
        try catalogue.change(session) { $0.undoneBy = name }
    }

    private func refuseUsed(_ path: FilePath) throws {
        switch try kernel.status(path).kind {
        case .regular:
            guard let loop = try restorer.stack.settledHolders(of: path).first else { return }
            throw SessionsError.busy(
                device: device.text, reason: "it is attached to \(loop)",
                advice: "unmount it and detach it with `losetup -d \(loop)`, then restore")
        case .blockDevice:
            let block = try kernel.blockDevice(path)
            if let use = try restorer.stack.uses(of: block.number).first {
                throw SessionsError.busy(
                    device: device.text, reason: use.description,
                    advice: "end that, then restore")
            }
            if block.isReadOnly, !request.dryRun {
                throw SessionsError.unsuitable(
                    device: device.text,
                    reason: "it is set read-only; run `blockdev --setrw` on it to have it written")
            }
        default:
            throw SessionsError.unsuitable(
                device: device.text, reason: "it is neither a block device nor an image file")
        }
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

    private func open(_ path: FilePath) throws -> OwnedDescriptor {
        do {
            let isDevice = try kernel.status(path).kind == .blockDevice
            return try kernel.open(
                path, request.dryRun ? .readOnly : .readWrite, exclusive: isDevice)
        } catch {
            guard error.errno == .resourceBusy else { throw error }
            throw SessionsError.busy(
                device: path.string, reason: "something uses it",
                advice: "see lsblk and swapon, stop that, then restore")
        }
    }
}

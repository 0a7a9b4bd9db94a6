internal import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
public import Restore
internal import SystemPackage

/// What a restore is asked to do.
public struct RestoreRequest: Sendable {
    /// A session's name or its directory's path.
    public var session: String
    /// Restore to this device or file instead of the session's own.
    public var device: String?
    /// Read and check everything, write nothing.
    public var dryRun = false
    /// Leave out what can't be read or is damaged, and report it.
    public var skipsDamaged = false
    /// Go on where the device is not as the chain's last session left it, and where the chain has a
    /// gap or a break.
    public var acceptsWrites = false
    /// Go on where the session's own device is another one than was activated.
    public var acceptsOtherDevice = false
    /// Let the kernel put the contents back while the device can be mounted already.
    public var online = false

    /// A restore of `session` to its own device.
    public init(session: String) {
        self.session = session
    }
}

/// What a restore did.
public struct RestoreOutcome: Sendable {
    /// The session whose baseline the device now has.
    public let session: Session
    /// Where it was written to.
    public let device: String
    /// The sessions whose stores were united, the restored one first.
    public let chain: [String]
    /// How much, and how long it took.
    public let report: RestoreReport
    /// The offline session that undoes it, if it went through an armed device.
    public let undo: SessionName?
    /// The kernel has begun and goes on: the device shows the restored contents, and can be mounted.
    public let isOnline: Bool
}

/// `restore`: a device back to what it was when a session's store was armed.
extension SnapshotService {
    /// Puts back the union of the session and of every later one in its chain.
    ///
    /// Nothing is written before everything was read and checked. Through an armed device the
    /// restore is itself captured, as an offline session.
    ///
    /// - Throws: `busy` while the device is used or a session of it open, `invalidSession`,
    ///   `damagedStore`; `damagedChunks`, `brokenChain`, `otherDevice` unless the request lifts it;
    ///   `interrupted`, `restoreFailed`.
    public func restore(
        _ request: RestoreRequest, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> RestoreOutcome {
        let session = try session(named: request.session)
        return try asSessionsError {
            let device = request.device ?? session.record.device
            if let activation = try activationOf(session, request) {
                return try operatingAlone(on: activation.id) { current in
                    guard let activation = try recoverLocked(current) else {
                        throw SessionsError.notActivated(device)
                    }
                    return try restoreArmed(activation, session, request, control)
                }
            }
            if request.online {
                throw SessionsError.unsuitable(
                    device: device,
                    reason: "only an activated device is restored online, and it is not; "
                        + "activate it first, or restore without --online")
            }
            let path = try Files.resolve(FilePath(device))
            guard try kernel.status(path).kind == .regular, !request.dryRun else {
                return try restoreBare(device, session, request, control)
            }
            return try holding(image: path) {
                try restoreBare(device, session, request, control)
            }
        }
    }

    /// The activation that a restore has to go through, if the device is activated now.
    private func activationOf(_ session: Session, _ request: RestoreRequest) throws -> Activation? {
        if let device = request.device { return try find(device) }
        let active = try activations()
        if let same = active.first(where: { $0.chain == session.record.chain }) { return same }
        // Activated again with a broken chain: still to be restored through its armed origin.
        guard Files.exists(FilePath(session.record.device)) else { return nil }
        return try find(session.record.device)
    }

    private func restoreArmed(
        _ activation: Activation, _ session: Session, _ request: RestoreRequest,
        _ control: RestoreControl
    ) throws -> RestoreOutcome {
        let path = path(of: activation)
        try refuseMerging(activation, "then restore")
        // What is open but not in use any more is closed first, and what was written outside a
        // mount becomes a session: the chain is then whole.
        if case .inUse = try rollOverWhenIdle(activation) {
            throw SessionsError.busy(
                device: path, reason: "it is in use, and a session of it is open",
                advice: "unmount it, then restore")
        }
        // The kernel's claim below is no obstacle to a program that has it open and may write.
        guard try isIdle(activation) else {
            throw SessionsError.busy(
                device: path, reason: "a program has it open",
                advice: "find it with `fuser \(path)` and end it, then restore")
        }
        let chain = try members(of: session, force: request.acceptsWrites)
        let current = try registry.read()[id: activation.id] ?? activation
        if !request.acceptsWrites {
            let last = chain.last?.record
            guard last?.chain == current.chain else {
                throw SessionsError.brokenChain(
                    device: path, session: session.record.name,
                    reason: "it was written since without being captured")
            }
            guard last?.index == current.nextIndex - 1 else {
                throw SessionsError.brokenChain(
                    device: path, session: session.record.name,
                    reason: "a later session is missing")
            }
        }
        let target = try open(FilePath(path), request)
        var isOnline = false
        let report = try apply(chain, to: target, session, request, control) { verified, target in
            guard request.online, verified.plan.totals.bytes > 0 else { return nil }
            isOnline = true
            return try mergeOnline(current, session, verified, holding: target, control)
        }
        try target.close()
        guard !request.dryRun, !isOnline else {
            return outcome(session, path, chain, report, nil, isOnline: isOnline)
        }
        var undo: SessionName?
        if case .closed(let offline) = try rollOverWhenIdle(
            current, restoreOf: session.record.name)
        {
            undo = SessionName(offline.record.name)
        }
        return outcome(session, path, chain, report, undo)
    }

    private func restoreBare(
        _ device: String, _ session: Session, _ request: RestoreRequest,
        _ control: RestoreControl
    ) throws -> RestoreOutcome {
        let path = try Files.resolve(FilePath(device))
        try refuseUsedTarget(device, path)
        // Named or not, it is the same device.
        let isOwn =
            request.device == nil
            || (try? Files.resolve(FilePath(session.record.device))) == path
        let chain = try members(of: session, force: request.acceptsWrites)
        guard let last = chain.last else { throw SessionsError.noSuchSession(request.session) }
        try refuseStranger(device, path, session, request)
        let marker = RestoreMarker(of: session)
        // A restore that was cut short left neither the old nor the new contents: it goes on.
        let isGoingOn = marker.names(path) && last.record.end != nil
        let isWhole = try isGoingOn || kernel.fingerprint(path) == last.record.end
        guard isWhole || request.acceptsWrites else {
            throw SessionsError.brokenChain(
                device: device, session: session.record.name,
                reason: "it is not as session \(last.record.name) left it; something has "
                    + "written to it since")
        }
        let target = try open(path, request)
        let report = try apply(chain, to: target, session, request, control) { _, _ in
            do {
                try marker.write(path)
            } catch let error as SessionsError
                where session.archive != nil && error.exitStatus == .denied
            {
                // Beside an archive on a medium that can't be written: a restore cut short then goes
                // on with --accept-writes only.
            }
            // From the first write on the device is no longer at the end of its chain, and none of
            // the later sessions starts from what it then is. A crash before that write leaves them
            // marked, too: an equal fingerprint doesn't prove that nothing was written, so nobody
            // can tell. The same restore, run again, completes it; the later ones take
            // --accept-writes.
            if isOwn {
                try markUndone(chain.dropFirst(), by: session)
                // What is restored over a break doesn't mend it.
                if !isWhole { try setEnd(nil, of: last) }
            }
            return nil
        }
        try target.close()
        guard !request.dryRun else { return outcome(session, device, chain, report, nil) }
        if isOwn, isWhole {
            // What was left out is in no session either.
            try setEnd(report.damage.isEmpty ? kernel.fingerprint(path) : nil, of: last)
        }
        try marker.remove()
        return outcome(session, device, chain, report, nil)
    }

    private func setEnd(_ end: Fingerprint?, of session: Session) throws {
        try change(session) { $0.end = end }
    }

    private func markUndone(_ sessions: ArraySlice<Session>, by restored: Session) throws {
        for session in sessions {
            try change(session) { $0.undoneBy = restored.record.name }
        }
    }

    private func outcome(
        _ session: Session, _ device: String, _ chain: [Session], _ report: RestoreReport,
        _ undo: SessionName?, isOnline: Bool = false
    ) -> RestoreOutcome {
        RestoreOutcome(
            session: session, device: device, chain: chain.map(\.record.name), report: report,
            undo: undo, isOnline: isOnline)
    }

    /// The session and every later one of its chain, each fit to be restored from.
    func members(of session: Session, force: Bool) throws -> [Session] {
        if let undone = session.record.undoneBy, !force {
            let isUnfinished = (try? self.session(named: undone)).map {
                RestoreMarker(of: $0).exists
            }
            throw SessionsError.brokenChain(
                device: session.record.device, session: session.record.name,
                reason: isUnfinished == true
                    ? "a restore of session \(undone), which is earlier, was cut short, and must be "
                        + "run again"
                    : "it was put back to before session \(undone), which was earlier")
        }
        let members = try chain(from: session)
        if let began = session.record.continues, !force {
            throw SessionsError.brokenChain(
                device: session.record.device, session: session.record.name,
                reason: "it begins in the middle of a restore, which began in session \(began); "
                    + "restore that one")
        }
        for (offset, member) in members.enumerated() {
            let name = member.record.name
            switch member.record.state {
            case .closed, .archived: break
            case .open:
                throw SessionsError.busy(
                    device: member.record.device, reason: "session \(name) is open",
                    advice: "unmount the device, then restore")
            case .invalid:
                throw SessionsError.invalidSession(
                    session: name, reason: "its store has missed writes")
            }
            if let broken = member.record.broken, !force {
                throw SessionsError.brokenChain(
                    device: member.record.device, session: session.record.name,
                    reason: "while session \(name) was open \(broken)")
            }
            guard member.record.index == session.record.index + offset || force else {
                throw SessionsError.brokenChain(
                    device: member.record.device, session: session.record.name,
                    reason: "a session before \(name) is missing")
            }
        }
        return members
    }

    private func refuseUsedTarget(_ device: String, _ path: FilePath) throws {
        switch try kernel.status(path).kind {
        case .regular:
            guard let loop = try kernel.loops(on: path).first else { return }
            throw SessionsError.busy(
                device: device, reason: "it is attached to \(loop.path)",
                advice: "unmount it and detach it with `losetup -d \(loop.path)`, then restore")
        case .blockDevice:
            let number = try kernel.blockDevice(path).number
            guard let use = try uses(of: number).first else { return }
            throw SessionsError.busy(
                device: device, reason: use.description, advice: "end that, then restore")
        default:
            throw SessionsError.unsuitable(
                device: device, reason: "it is neither a block device nor an image file")
        }
    }

    /// The session's own path may mean another device today.
    private func refuseStranger(
        _ device: String, _ path: FilePath, _ session: Session, _ request: RestoreRequest
    ) throws {
        guard request.device == nil, !request.acceptsOtherDevice else { return }
        let identity = session.record.identity
        let same: Bool
        switch session.record.deviceKind {
        case .block:
            same = try kernel.blockDevice(path).hardwareIdentity == identity.hardware
        case .image:
            let status = try kernel.status(path)
            same = status.inode == identity.inode && status.fileSystem == identity.fileSystem
        }
        guard same else {
            throw SessionsError.otherDevice(device: device, session: session.record.name)
        }
    }

    private func open(_ path: FilePath, _ request: RestoreRequest) throws -> OwnedDescriptor {
        do {
            // The kernel's claim keeps everybody from mounting it meanwhile.
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

    /// The union of the chain's sessions, the first of them being the one to go back to.
    func plan(_ chain: [Session]) throws -> RestorePlan {
        // The archives of a long chain share what one may have.
        let cacheBytes = (8 << 20) / max(chain.count, 1)
        return try RestorePlan(
            sources: chain.map { try chunkSource(of: $0, cacheBytes: cacheBytes) })
    }

    /// - Parameter beforeWriting: called when everything was read and checked, just before the first
    ///   write; what it gives is the report where it has seen to the writing itself.
    private func apply(
        _ chain: [Session], to target: borrowing OwnedDescriptor, _ session: Session,
        _ request: RestoreRequest, _ control: RestoreControl,
        beforeWriting: (VerifiedPlan, borrowing OwnedDescriptor) throws -> RestoreReport?
    ) throws -> RestoreReport {
        do {
            let plan = try plan(chain)
            let size = try target.size()
            guard plan.fits(size) else {
                throw SessionsError.unsuitable(
                    device: target.path.string,
                    reason: "it has \(size.bytes) bytes, and the session's device had "
                        + "\(plan.originSize.bytes)")
            }
            if request.dryRun {
                return try plan.run(
                    on: target,
                    options: RestoreOptions(dryRun: true, skipDamaged: request.skipsDamaged),
                    control: control)
            }
            let skips = request.skipsDamaged && !request.online
            let verified = try plan.verify(
                options: RestoreOptions(skipDamaged: skips), control: control)
            if let report = try beforeWriting(verified, target) { return report }
            return try verified.apply(
                to: target, readBack: configuration.readsBack, control: control)
        } catch let error as RestoreError {
            throw failure(error, session, target.path.string)
        }
    }

    func failure(
        _ error: RestoreError, _ session: Session, _ device: String
    ) -> SessionsError {
        let name = session.record.name
        switch error.reason {
        case .cancelled:
            return .interrupted(session: name, device: device, detail: "\(error)")
        case .targetSizeDiffers, .originSizesDiffer, .noSources:
            return .unsuitable(device: device, reason: "\(error)")
        case .damaged:
            return .damagedChunks(session: name, reason: "\(error)")
        case .changedSinceVerified, .source(_, _, _, .damaged), .source(_, _, _, .ended):
            guard !error.targetTouched else { break }
            return .damagedStore(session: name, reason: "\(error)")
        default: break
        }
        return .restoreFailed(session: name, device: device, reason: "\(error)")
    }
}

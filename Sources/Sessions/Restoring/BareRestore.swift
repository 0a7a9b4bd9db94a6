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

    var kernel: any Kernel { restorer.kernel }
    var catalogue: Catalogue { restorer.catalogue }

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
            restorer.plan(route.members), for: target, session, request, control)
        var report = verified.report
        var proof = RestoreProof.none
        if !request.dryRun {
            report = try write(
                verified, to: target, path, route.members, marker, ground.standing)
            proof = try restorer.proof(of: path, session)
        }
        try target.close()
        if !request.dryRun { restorer.kernel.renewFileSystem(on: path) }
        // Until its records say what has happened, its sessions stay.
        withExtendedLifetime(verified) {}
        return try restorer.conclude(
            RestoreOutcome(
                session: session, device: device, chain: route.members.map(\.record.name),
                report: report, undo: nil, loss: nil, isOnline: false, proof: proof,
                overridden: lifted,
                conditions: ground.conditions.map { "\($0)" }))
    }

    /// Whether it is the session's own device, named or not.
    private func isOwn(_ path: FilePath) -> Bool {
        guard session.hasOwnDevice else { return false }
        return request.device == nil
            || (try? Files.resolve(session.record.device.path)) == path
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
            try !isWhole
                || self.standing(of: path, after: last, marker, members).isAsGood(as: standing)
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
            if let use = try restorer.lifecycle.finder.uses(of: block).first {
                throw SessionsError.busy(
                    device: device.text, reason: use.description,
                    advice: "end that, then restore")
            }
            if block.isReadOnly, !request.dryRun {
                throw SessionsError.setReadOnly(device.text)
            }
        default:
            throw SessionsError.unsuitable(
                device: device.text, reason: "it is neither a block device nor an image file")
        }
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

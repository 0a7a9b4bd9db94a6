import Block
import DeviceMapper
import ExceptionStore
import Restore
import SystemPackage

/// What is written through a device's origin, by us, and captured: whether it can be, and what leads back from it.
extension Lifecycle {
    /// Why a store can't keep all that a plan overwrites; nil if it can. One that gets full is lost, and with it the
    /// way to every older session.
    func shortage(
        capturing plan: RestorePlan, through activation: Activation
    ) throws -> String? {
        let chunk = try stack.chunkSize(activation)
        let status = try stack.status(activation, store: activation.store.number)
        let chunks = plan.chunks(of: chunk)
        guard chunks > 0, case .usage(let allocated, let total, _) = status else { return nil }
        let taken = status?.chunksTaken(chunk: chunk.sectors) ?? 0
        let needed = try StoreGeometry.bytesNeeded(
            originSize: ByteCount((taken + chunks) * chunk.bytes.bytes), chunkSize: chunk)
        let what = "what it overwrites is kept, which takes \(needed.bytes) bytes"
        if let total = total.bytes, needed > total {
            return
                "\(what), and its store ends at \(total.bytes) (store.limit in the configuration); nothing was written"
        }
        guard let room = room(in: activation.base.path.path) else { return nil }
        let more = needed.bytes - min(needed.bytes, allocated.bytes?.bytes ?? 0)
        // With less than half of what is kept for others the store is given up.
        let spare = room.free.bytes - min(room.free.bytes, room.reserve.bytes / 2)
        guard more > spare else { return nil }
        return
            "\(what), and \(activation.base.path) has \(room.free.bytes) free, half of store.reserve of which is left "
            + "alone; make room there; nothing was written"
    }

    /// Keeps in the registry how far a restore has come, so that what one has written that died is not taken for
    /// somebody's use of the device.
    @discardableResult
    func note(
        _ progress: RestoreTrace.Progress, of session: Session, on activation: Activation
    ) throws(SessionsError) -> Activation {
        let trace = RestoreTrace(session: session.record.name, progress: progress)
        return try registry.change(activation.id) { current throws(SessionsError) in
            try current.note(trace)
        }
    }

    /// What leads back from what was written, or why nothing does; neither where nothing was.
    struct WayBack {
        var session: SessionName?
        var loss: String?
    }

    /// Has what was overwritten become a session.
    func wayBack(_ activation: Activation) throws -> WayBack {
        guard case .closed(let session) = try rollOverWhenIdle(activation) else {
            return WayBack()
        }
        let record = session.record
        guard record.state == .invalid else { return WayBack(session: record.name) }
        return WayBack(loss: record.loss ?? "its store has missed writes")
    }

    /// Opens an activated device with the kernel's claim, which keeps everybody from mounting it meanwhile.
    ///
    /// - Parameter verb: what is to be done when nobody uses it any more.
    func hold(
        _ activation: Activation, _ access: OwnedDescriptor.Access, _ verb: String
    ) throws -> OwnedDescriptor {
        do throws(SystemError) {
            return try kernel.open(
                DeviceFinder.path(of: activation).path, access, exclusive: true)
        } catch {
            guard error.errno == .resourceBusy else { throw error }
            throw busy(activation, "something uses it", verb)
        }
    }
}

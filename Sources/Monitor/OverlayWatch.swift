import Block
import Logging
import Sessions

/// What the monitor sees of devices under an overlay. Its store has the only copy of what was written: at its
/// end programs get errors, so file systems on it are made read-only before.
struct OverlayWatch {
    /// From when on, in percent of the store's limit, nothing more is to be written.
    static let last = 98

    let service: SnapshotService
    let log: Logger
    /// What makes the file system that is mounted on a directory read-only; gives a program's exit status.
    var makeReadOnly: (String) throws(SystemError) -> Int32 = { directory throws(SystemError) in
        try Program.run(["/bin/mount", "-o", "remount,ro", "--", directory], isSilent: true)
    }
    private var said: Set<String> = []
    /// How much of each store was taken at the last look.
    private var taken: [String: UInt64] = [:]

    init(service: SnapshotService, log: Logger) {
        self.service = service
        self.log = log
    }

    /// Looks at one device's store.
    ///
    /// - Returns: whether to look again soon, as it would be full after a few looks like this one.
    mutating func look(_ one: Watched) -> Bool {
        let activation = one.activation
        let key = "\(activation.id) \(activation.store.number)"
        switch one.usage {
        case nil: return false
        case .invalid:
            guard said.insert("lost \(key)").inserted else { return false }
            log.error(
                """
                \(activation.path): its store failed, and what was written over it is lost; unmount it, \
                then run `dmsnap discard \(activation.path)`; the device itself is as it was
                """)
            return false
        case .taken(let used, let limit, _):
            let room = service.observer.room(one)
            let full = limit.bytes == 0 ? 0 : Int(used.bytes / max(1, limit.bytes / 100))
            // What comes until the next look is likely to be what came since the last.
            let before = taken.updateValue(used.bytes, forKey: key) ?? used.bytes
            let growth = used.bytes - min(before, used.bytes)
            let left = limit.bytes - min(used.bytes, limit.bytes)
            if full >= Self.last || growth > left {
                stop(one, "its store is \(full) % full")
                return false
            }
            if room?.emergency != nil {
                stop(one, room?.shortage ?? "")
                return false
            }
            let percent = max(full, room?.percent ?? 0)
            guard percent >= service.configuration.warnPercent,
                said.insert("full \(key)").inserted
            else { return growth > left / 8 }
            log.warning(
                """
                \(activation.path): its store, or the file system that holds it, is \(percent) % full; \
                before it is full the file systems on it are made read-only
                """)
            return true
        }
    }

    private mutating func stop(_ one: Watched, _ reason: String) {
        if said.insert("full \(one.activation.id) \(one.activation.store.number)").inserted {
            log.error("\(one.activation.path): \(reason)")
        }
        for case .mount(let mount) in one.uses
        where !mount.options.split(separator: ",").contains("ro")
            && said.insert("stopped \(one.activation.id) \(mount.target)").inserted
        {
            let status = Result { () throws(SystemError) in try makeReadOnly(mount.target) }
            if case .success(0) = status {
                log.error(
                    """
                    \(one.activation.path): \(reason), so \(mount.target) is read-only now; make room, or \
                    unmount it, then commit or discard what was written
                    """)
            } else {
                log.error(
                    """
                    \(one.activation.path): \(reason), and \(mount.target) can't be made read-only: what is \
                    written next may fail
                    """)
            }
        }
    }
}

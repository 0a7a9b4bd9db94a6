import Block
import Logging
import Sessions
import SystemPackage

/// What the monitor sees of devices under an overlay. Its store has the only copy of what was written: at its
/// end programs get errors, so file systems on it are made read-only before.
struct OverlayWatch {
    /// From when on, in percent of the store's limit, nothing more is to be written.
    static let last = 95

    let service: SnapshotService
    let log: Logger
    /// Asks for the file system that is mounted on a directory to be made read-only.
    var makeReadOnly: (String) throws(SystemError) -> Void = { directory throws(SystemError) in
        let mount = ["/bin/mount", "-o", "remount,ro", "--", directory]
        // The monitor's sandbox has no mount(2).
        let isSystemd = Files.exists("/run/systemd/system")
        _ = try Program.run(
            isSystemd ? ["/usr/bin/systemd-run", "--quiet", "--collect", "--"] + mount : mount,
            isSilent: true)
    }
    private var said: Set<String> = []
    /// How often each mount was asked for to be read-only.
    private var asked: [String: Int] = [:]
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
            // What comes until the next look is likely to be what came since the last; and it takes a moment.
            let before = taken.updateValue(used.bytes, forKey: key) ?? used.bytes
            let growth = used.bytes - min(before, used.bytes)
            let left = limit.bytes - min(used.bytes, limit.bytes)
            if full >= Self.last || growth > left / 2 {
                return stop(one, "its store is \(full) % full")
            }
            if room?.emergency != nil {
                return stop(one, room?.shortage ?? "")
            }
            let percent = max(full, room?.percent ?? 0)
            guard percent >= service.configuration.warnPercent,
                said.insert("full \(key)").inserted
            else { return growth > left / 10 }
            log.warning(
                """
                \(activation.path): its store, or the file system that holds it, is \(percent) % full; \
                before it is full the file systems on it are made read-only
                """)
            return true
        }
    }

    /// - Returns: whether to look again soon, to see that it has come to that.
    private mutating func stop(_ one: Watched, _ reason: String) -> Bool {
        let key = "\(one.activation.id) \(one.activation.store.number)"
        if said.insert("full \(key)").inserted {
            log.error("\(one.activation.path): \(reason)")
        }
        var isWaiting = false
        for case .mount(let mount) in one.uses {
            let what = "\(key) \(mount.target)"
            if mount.options.split(separator: ",").contains("ro") {
                guard asked.removeValue(forKey: what) != nil else { continue }
                log.error(
                    """
                    \(one.activation.path): \(reason), so \(mount.target) is read-only now; make room, or \
                    unmount it, then commit or discard what was written
                    """)
                continue
            }
            isWaiting = true
            do throws(SystemError) {
                try makeReadOnly(mount.target)
            } catch {
                log.error(
                    "\(one.activation.path): \(mount.target) can't be made read-only: \(error)")
            }
            asked[what, default: 0] += 1
            if asked[what] == 5 {
                log.error(
                    """
                    \(one.activation.path): \(mount.target) is not read-only yet: what is written next may \
                    fail
                    """)
            }
        }
        return isWaiting
    }
}

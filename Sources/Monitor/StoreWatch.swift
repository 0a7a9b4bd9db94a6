import Block
import Logging
import Sessions

/// What the monitor sees of stores and of the room for them: said once each, and seen to.
struct StoreWatch {
    let service: SnapshotService
    let log: Logger
    private var said: Set<String> = []

    init(service: SnapshotService, log: Logger) {
        self.service = service
        self.log = log
    }

    /// Looks at one device's store.
    mutating func look(_ one: Watched) throws(SessionsError) {
        try tell(one.fault, of: one)
        let room = service.observer.room(one)
        switch one.usage {
        case .invalid: return try giveUpInvalid(one)
        case .taken(let used, let limit, _):
            if let emergency = room?.emergency { return try giveUp(one, emergency) }
            warn(one, used: used.bytes, limit: limit.bytes, fileSystem: room?.percent ?? 0)
        case nil where one.activation.store.health == .sound:
            if try service.observer.markTakenAway(one) {
                said.insert("bare \(one.activation.id)")
                log.error(
                    """
                    \(one.activation.path): its snapshot was taken away (`dmsetup remove_all`?); the \
                    present session can't be restored from, nor older ones through it; the device \
                    itself goes on
                    """)
            }
            return
        case nil: break
        }
        tell(room, of: one)
    }

    /// What is seen to be wrong, at once.
    private mutating func tell(_ fault: Watched.Fault?, of one: Watched) throws(SessionsError) {
        switch fault {
        case .store:
            guard let reason = try service.observer.markLost(one.activation.id) else { return }
            log.error(
                """
                \(one.activation.path): \(reason); the present session can't be restored from, nor \
                older ones through it; the device itself goes on
                """)
        case .size(let reason):
            guard said.insert("\(reason) \(one.activation.id)").inserted else { return }
            try service.observer.markBroken(one.activation.id, reason)
            log.error("\(one.activation.path): \(reason); deactivate it, and activate it again")
        case nil: break
        }
    }

    /// The kernel has dropped it: it may be what fills the file system, so it goes at once.
    private mutating func giveUpInvalid(_ one: Watched) throws(SessionsError) {
        let reason = "its store was full, or failed"
        if one.activation.store.health == .sound {
            try service.observer.markInvalid(
                one.activation.id, store: one.activation.store.number, reason)
            log.error(
                """
                \(one.activation.path): its store failed or is full; the present session can't be \
                restored from; the device itself goes on, and its next mount gets a new session
                """)
        }
        said.insert("bare \(one.activation.id)")
        _ = try service.observer.giveUp(one, reason)
    }

    private mutating func giveUp(_ one: Watched, _ reason: String) throws(SessionsError) {
        guard try service.observer.giveUp(one, reason) else { return }
        said.insert("bare \(one.activation.id)")
        log.error(
            """
            \(one.activation.path): \(reason); the present session can't be restored from, nor older \
            ones through it; the device itself goes on, and nothing is captured
            """)
    }

    private mutating func warn(_ one: Watched, used: UInt64, limit: UInt64, fileSystem: Int) {
        let percent = max(limit == 0 ? 0 : Int(used / max(1, limit / 100)), fileSystem)
        guard percent >= service.configuration.warnPercent,
            said.insert("full \(one.activation.id) \(one.activation.store.number)").inserted
        else { return }
        log.warning(
            """
            \(one.activation.path): its store, or the file system that holds it, is \(percent) % full; \
            when it is full the present session is lost
            """)
    }

    /// Too little room for the next store, and none for the present one: two things to know, and the
    /// end of either.
    private mutating func tell(_ room: Room?, of one: Watched) {
        let (short, bare) = ("short \(one.activation.id)", "bare \(one.activation.id)")
        let path = one.activation.path
        if let shortage = room?.shortage {
            if said.insert(short).inserted {
                log.warning("\(path): \(shortage); its next mount won't be captured")
            }
        } else {
            said.remove(short)
        }
        if one.usage != nil {
            if said.remove(bare) != nil { log.info("\(path): captured again") }
        } else if case .invalid(let reason) = one.activation.store.health,
            said.insert(bare).inserted
        {
            log.error("\(path): nothing of what is written to it is kept: \(reason)")
        }
    }
}

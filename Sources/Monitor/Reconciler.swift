import Block
import Logging
import Sessions

/// Brings sessions into line with what is mounted, however often it is called.
///
/// It keeps nothing that a new monitor could not find out again, but when it last said a thing.
struct Reconciler {
    /// When to look again though nothing wakes the monitor.
    enum Next: Hashable {
        case whenWoken
        case after(Duration)
    }

    /// How long the rule may take before the monitor opens the session itself.
    var rulePatience: Duration = .seconds(5)
    /// How long a program may have the device open and write to it before that counts as a use.
    var holdPatience: Duration = .seconds(10)
    /// How soon to look again at a device that somebody still has open after its last unmount.
    static let probing: Duration = .milliseconds(50)
    /// How often to look at devices whose open count and fill nobody tells of.
    static let slow: Duration = .seconds(5)
    /// How often to look how far an online restore is, whose end is no event, or a store that is filling fast.
    static let merging: Duration = .seconds(1)

    /// Another one of the same, where the settings change.
    var service: SnapshotService {
        didSet {
            stores = StoreWatch(service: service, log: log)
            overlays = OverlayWatch(service: service, log: log)
        }
    }
    let log: Logger
    private let clock = ContinuousClock()
    private var announced: [String: ContinuousClock.Instant] = [:]
    private var held: [String: ContinuousClock.Instant] = [:]
    private var closing: [String: Int] = [:]
    private var stores: StoreWatch
    var overlays: OverlayWatch
    private var complaints: [String: String] = [:]
    private var hasClosed = false
    /// The devices that nobody uses, with empty stores, at the last look.
    private(set) var idle: [Activation] = []
    private var isWaitingForNone = true
    private var lookedAtPending: ContinuousClock.Instant?
    /// Rules whose devices are as they say, or wait.
    private var applied: Set<DeviceRule> = []
    private let writers: WriterWatch

    init(service: SnapshotService, log: Logger, writers: WriterWatch) {
        self.service = service
        self.log = log
        self.writers = writers
        stores = StoreWatch(service: service, log: log)
        overlays = OverlayWatch(service: service, log: log)
    }

    /// Looks at every activated device once, and does what is due.
    ///
    /// - Parameter isWoken: by an event, so that parts of a device may have appeared.
    mutating func reconcile(isWoken: Bool) -> Next {
        idle = []
        let all: [Watched]
        do {
            try recover()
            if isWoken { try assembleMissing() }
            if isWoken { applyRules() }
            try activatePending(isWoken: isWoken)
            all = try service.observer.watched()
            writers.watch(all)
            try breakChains(all, isWoken: isWoken)
        } catch {
            log.error("\(error)")
            return .after(Self.slow)
        }
        var next: Next = all.isEmpty && isWaitingForNone ? .whenWoken : .after(Self.slow)
        for one in all {
            do {
                let wish = try reconcile(one)
                if case .after(let soon) = wish, case .after(let other) = next {
                    next = .after(min(soon, other))
                }
                if one.merge?.failure == nil { complaints[one.activation.id] = nil }
            } catch {
                complain(one.activation, "\(error)")
            }
        }
        // Tried again at every look.
        try? service.noteInstants(ofIdle: idle)
        return next
    }

    /// Whether a session was closed since this was last asked.
    mutating func takeClosed() -> Bool {
        defer { hasClosed = false }
        return hasClosed
    }

    /// A verb that was killed may have left a device suspended, or an exchange that no session can be
    /// opened in.
    private mutating func recover() throws(SessionsError) {
        for activation in try service.activations() {
            do {
                try service.recoverAbandoned(activation.id)
            } catch {
                complain(activation, "can't be recovered: \(error)")
            }
        }
    }

    /// Devices and files that have appeared, and what they need with them.
    private mutating func assembleMissing() throws(SessionsError) {
        for activation in try service.missing() {
            do {
                switch try service.assemble(activation.id) {
                case .assembled(let session):
                    log.info("\(activation.path): assembled")
                    if let session {
                        log.warning("\(session.record.name): was cut short, and is closed now")
                    }
                case .alreadyAssembled, .forgotten, .notThere: continue
                }
                complaints[activation.id] = nil
            } catch {
                complain(activation, "can't be assembled: \(error)")
            }
        }
    }

    /// Devices that have appeared and that the configuration, as it is now, has a rule for. Once for each time that
    /// one appears: who deactivates it wants it to stay so.
    private mutating func applyRules() {
        let rules: [DeviceRule]
        do {
            rules = try service.rules()
        } catch {
            return complain(of: "dmsnap.toml", "\(error)", "rules")
        }
        applied.formIntersection(rules)
        for rule in rules {
            guard service.isThere(rule) else {
                applied.remove(rule)
                continue
            }
            guard !applied.contains(rule) else { continue }
            do {
                switch try service.apply(rule) {
                case .activated(let activation):
                    log.info("\(activation.path): activated, by the configuration")
                case .changed, .alreadySo: break
                case .waits(let reason):
                    log.info("\(rule): \(reason); it is activated when that is over")
                case .notThere: continue
                }
                applied.insert(rule)
                complaints["rule \(rule)"] = nil
            } catch {
                complain(of: ByteText("\(rule)"), "\(error)", "rule \(rule)")
            }
        }
    }

    /// Devices that were to be activated when nobody uses them any more.
    private mutating func activatePending(isWoken: Bool) throws(SessionsError) {
        let isDue = lookedAtPending.map { clock.now - $0 >= Self.slow } ?? true
        guard isWoken || isDue else { return }
        lookedAtPending = clock.now
        let pending = try service.pending()
        isWaitingForNone = pending.isEmpty
        for one in pending {
            let key = "pending \(one.path)"
            do {
                guard try service.activate(one) != nil else { continue }
                log.info("\(one.path): activated, as it is not in use any more")
                complaints[key] = nil
            } catch {
                complain(of: one.path, "can't be activated: \(error)", key)
            }
        }
    }

    /// A device that was to be deactivated when nobody uses it any more.
    private mutating func leave(_ one: Watched) throws(SessionsError) -> Next {
        guard try service.leave(one.activation) else { return .after(Self.slow) }
        log.info("\(one.activation.path): deactivated, as it is not in use any more")
        hasClosed = true
        return .after(Self.probing)
    }

    /// Once: what failed is tried again at every event.
    private mutating func complain(_ activation: Activation, _ complaint: String) {
        complain(of: activation.path, complaint, activation.id)
    }

    private mutating func complain(of path: ByteText, _ complaint: String, _ key: String) {
        guard complaints.updateValue(complaint, forKey: key) != complaint else { return }
        log.error("\(path): \(complaint)")
    }

    /// Somebody wrote past the origin: told at once, and kept.
    private func breakChains(_ all: [Watched], isWoken: Bool) throws(SessionsError) {
        let written = writers.takeWritten()
        let otherWays = isWoken ? service.observer.otherWays(all) : [:]
        // An overlay is held against the device itself when it is given up or committed.
        for one in all where one.activation.state.overlay == nil {
            let known = one.activation.store.breach
            // What lies before the store's session says nothing of what comes into it.
            if known?.place == .inside { continue }
            let reason =
                if written.contains(one.activation.id) {
                    "something wrote to \(one.activation.path) itself"
                } else if let other = otherWays[one.activation.id] {
                    one.activation.kind == .image
                        ? "\(one.activation.path) is attached to \(other) as well"
                        : "\(one.activation.path) is used as \(other) as well, another path to it"
                } else {
                    String?.none
                }
            guard let reason else { continue }
            let isTold = known?.what == reason
            if isTold, !written.contains(one.activation.id), !holdsWrites(one),
                one.activation.session == nil
            {
                continue
            }
            try service.observer.markBroken(one.activation.id, reason)
            if isTold { continue }
            log.error(
                """
                \(reason): what it wrote is in no session, and sessions up to now restore only with \
                --accept-writes; use \(service.path(of: one.activation)) instead
                """)
        }
    }

    private mutating func reconcile(_ one: Watched) throws(SessionsError) -> Next {
        if one.activation.state.overlay != nil { return try tendOverlay(one) }
        try stores.look(one)
        if one.activation.isLeaving == true, one.uses.isEmpty, one.openCount == 0, one.merge == nil
        {
            return try leave(one)
        }
        if let merge = one.merge { return try tend(one, merge) }
        if one.activation.session != nil {
            announced[one.activation.id] = nil
            try service.observer.noteCheck(one)
            return try one.uses.isEmpty ? close(one) : .after(Self.slow)
        }
        if !one.uses.isEmpty || isHeld(one) { return try open(one) }
        announced[one.activation.id] = nil
        // Written to without a mount, and let go of: that is a session of its own.
        if one.openCount == 0, holdsWrites(one) { return try close(one) }
        if one.openCount == 0 { idle.append(one.activation) }
        return .after(Self.slow)
    }

    /// What is written is no session, and may go with the last unmount.
    private mutating func tendOverlay(_ one: Watched) throws(SessionsError) -> Next {
        let isFilling = overlays.look(one)
        guard one.uses.isEmpty else { return .after(isFilling ? Self.merging : Self.slow) }
        if one.activation.isLeaving == true, one.openCount == 0 { return try leave(one) }
        guard one.activation.restoreAt == .unmount, holdsWrites(one) else {
            return .after(Self.slow)
        }
        return try close(one)
    }

    /// An online restore is under way: sessions open as ever, and none is closed before its end.
    private mutating func tend(
        _ one: Watched, _ merge: MergeProgress
    ) throws(SessionsError) -> Next {
        if merge.isComplete {
            try service.recover(one.activation.id)
            log.info("\(one.activation.path): session \(merge.session) is back")
            return .after(Self.probing)
        }
        var next: Next = .after(Self.merging)
        if one.activation.session != nil {
            announced[one.activation.id] = nil
        } else if !one.uses.isEmpty || isHeld(one) {
            if case .after(let soon) = try open(one) { next = .after(min(soon, Self.merging)) }
        }
        if let failure = merge.failure { complain(one.activation, failure) }
        return next
    }

    /// Open for long, written to, and by nothing that /proc or sysfs names: a use all the same.
    private mutating func isHeld(_ one: Watched) -> Bool {
        let id = one.activation.id
        // A restore that takes long is none: it has a session of its own.
        guard one.openCount > 0, holdsWrites(one), one.activation.store.undoes?.progress == nil
        else {
            held[id] = nil
            return false
        }
        let since = held[id] ?? clock.now
        held[id] = since
        return clock.now - since >= holdPatience
    }

    private func holdsWrites(_ one: Watched) -> Bool {
        switch one.usage {
        case .taken(_, _, let chunks): chunks > 0
        case .invalid: true
        // It captures nothing at all: killed between giving up a full store and arming the next.
        case nil: true
        }
    }

    /// Mounted and without a session: the event that the rule answers, or, where no rule did, the
    /// session itself.
    private mutating func open(_ one: Watched) throws(SessionsError) -> Next {
        let id = one.activation.id
        guard let since = announced[id] else {
            announced[id] = clock.now
            try service.observer.announce(one, "opened")
            return .after(rulePatience)
        }
        guard clock.now - since >= rulePatience else { return .after(rulePatience) }
        log.warning("\(one.activation.path): no udev rule opened its session; opened here")
        announced[id] = nil
        if case .opened(let name) = try service.observer.openSession(one) {
            log.info("\(name): opened")
        }
        return .after(Self.slow)
    }

    /// Not mounted any more. While something has it open that isn't a mere reader the session goes on.
    private mutating func close(_ one: Watched) throws(SessionsError) -> Next {
        let id = one.activation.id
        let outcome = try service.rollOver(id)
        if case .inUse = outcome, one.openCount > 0 {
            let tries = closing[id, default: 0]
            closing[id] = tries + 1
            return .after(tries < 40 ? Self.probing : Self.slow)
        }
        closing[id] = nil
        switch outcome {
        case .closed(let session):
            log.info("\(session.record.name): \(session.record.state.rawValue)")
            hasClosed = true
            try service.observer.announce(one, "closed")
        case .dropped:
            log.info("\(one.activation.name): a session without a write was dropped")
            try service.observer.announce(one, "closed")
        case .discarded:
            log.info("\(one.activation.path): what was written over it is given up")
            try service.observer.announce(one, "closed")
        case .held:
            complain(
                one.activation,
                "a program has its snapshot's own device open: no session is closed until it lets go"
            )
            return .after(Self.slow)
        case .nothingToDo: return .after(Self.slow)
        case .inUse: break
        }
        // A mount may have come meanwhile, whose event fell into the exchange.
        return .after(Self.probing)
    }
}

internal import Block
internal import CLinux
internal import Glibc
public import Logging
public import Sessions
internal import SystemPackage

/// `dmsnap monitor`: sees mounts begin and end.
///
/// It sleeps in poll(2) until a mount, a device's event, device-mapper's or a new registry wakes it.
/// While devices are activated it also looks every few seconds, for what no event tells: how full
/// stores are, uses in other mount namespaces, and other settings.
public struct Monitor {
    private let service: SnapshotService
    private let log: Logger

    /// A monitor of a service's devices.
    public init(service: SnapshotService, log: Logger) {
        self.service = service
        self.log = log
    }

    /// Runs until a signal ends it, or until nothing is activated any more.
    ///
    /// - Parameter ready: called when every source is watched and every device was looked at once.
    /// - Throws: `busy` if another monitor runs.
    public func run(ready: () -> Void) throws(SessionsError) {
        do {
            try watch(ready)
        } catch let error as SystemError {
            throw .system(error)
        } catch let error as SessionsError {
            throw error
        } catch {
            throw .internalFault("\(error)")
        }
    }

    private func watch(_ ready: () -> Void) throws {
        try Files.makeDirectory(service.layout.runDirectory)
        try Files.makeDirectory(service.layout.stateDirectory)
        let held = Held()
        // Whoever asks whether a monitor runs holds the lock for an instant.
        for _ in 0..<20 where held.lock == nil {
            held.lock = try FileLock.takeIfFree(service.layout.monitorLock)
            if held.lock == nil { usleep(50_000) }
        }
        guard held.lock != nil else {
            throw SessionsError.busy(
                device: "dmsnap monitor", reason: "it is running already",
                advice: "there is nothing to do")
        }
        let writers = try WriterWatch()
        let sources = [
            try EventSources.termination { held.isStopped = true },
            try EventSources.mounts(),
            try EventSources.udev(),
            try EventSources.deviceMapper(),
            try EventSources.registry(service.layout.stateDirectory),
            writers.source,
        ]
        recoverAll()
        var reconciler = Reconciler(service: service, log: log, writers: writers)
        while let settings = try attend(&reconciler, sources, held, ready) {
            reconciler.service = reconciler.service.with(settings)
            log.info("the settings have changed, and are in force")
        }
        held.release()
        log.info("ended")
    }

    /// Does what is due with these settings.
    ///
    /// - Returns: others, that the configuration file has now; nil at the end.
    private func attend(
        _ reconciler: inout Reconciler, _ common: [EventSource], _ held: Held, _ ready: () -> Void
    ) throws -> Configuration? {
        let service = reconciler.service
        let archivist = try Archivist(service: service, log: log)
        defer { archivist.stop() }
        let pruner = try Pruner(service: service, log: log)
        defer { pruner.stop() }
        let putter = try Putter(service: service, log: log)
        defer { putter.stop() }
        let aftermath = Aftermath(service: service, log: log)
        let sources = common + [archivist.source, pruner.source, putter.source]
        var deadline = Deadline(reconciler.reconcile(isWoken: true))
        if archivist.attend() { pruner.request() }
        pruner.attend()
        putter.attend(idle: reconciler.idle)
        aftermath.attend()
        held.announce(ready, log)
        var patience = 40
        while true {
            // Let go of under the registry's lock: whoever activates a device from now on sees that
            // no monitor runs.
            if archivist.isIdle, pruner.isIdle, putter.isIdle,
                try service.observer.ifNothingIsActivated({ held.release() })
            {
                return nil
            }
            let cause = try wait(for: sources, until: deadline)
            if cause == .nothing, !held.isStopped { continue }
            // Told before what the kernel has done with it.
            putter.takeFinished()
            let next = reconciler.reconcile(isWoken: cause == .event)
            deadline = Deadline(next)
            if !held.isStopped {
                let hasArchived = cause == .event && archivist.attend()
                if reconciler.takeClosed() || hasArchived { pruner.request() }
                pruner.attend()
                putter.attend(idle: reconciler.idle)
                if hasArchived { aftermath.request() }
                aftermath.attend()
            }
            if held.isStopped {
                // At shutdown the signal comes right after the last unmounts: those are closed first.
                guard next == .after(Reconciler.probing), patience > 0 else { return nil }
                patience -= 1
            } else if archivist.isIdle, pruner.isIdle, putter.isIdle,
                let settings = service.changedSettings()
            {
                // At a look, and not at everybody's events.
                return settings
            }
        }
    }

    /// What a process that died halfway left behind.
    private func recoverAll() {
        for activation in (try? service.activations()) ?? [] {
            do {
                try service.recover(activation.id)
            } catch {
                log.error("\(activation.path): \(error)")
            }
        }
        do {
            for failure in try service.keeper.recover() { log.error("\(failure)") }
        } catch {
            log.error("\(error)")
        }
    }

    private enum Cause {
        case event, time, nothing
    }

    /// Sleeps until there is something to look at.
    private func wait(for sources: [EventSource], until deadline: Deadline) throws -> Cause {
        var polled = sources.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        let count = unsafe poll(&polled, nfds_t(polled.count), deadline.milliseconds)
        if count < 0 {
            if errno == EINTR { return .nothing }
            throw SystemError(operation: "poll", path: "events", errno: Errno(rawValue: errno))
        }
        if count == 0 { return .time }
        var concerns = false
        for (source, result) in zip(sources, polled) where result.revents != 0 {
            if source.take() { concerns = true }
        }
        return concerns ? .event : .nothing
    }
}

/// When to look again; other people's events don't put it off.
private struct Deadline {
    private let instant: ContinuousClock.Instant?

    init(_ next: Reconciler.Next) {
        instant =
            switch next {
            case .whenWoken: nil
            case .after(let duration): ContinuousClock.now + duration
            }
    }

    /// poll(2)'s timeout: −1 for none, and never early.
    var milliseconds: Int32 {
        guard let instant else { return -1 }
        let left = max(.zero, instant - .now)
        return Int32(clamping: Int64((left / .milliseconds(1)).rounded(.up)))
    }
}

/// What the loop's closures change.
private final class Held {
    var lock: FileLock?
    var isStopped = false
    private var isReady = false

    /// Once, however often the settings change.
    func announce(_ ready: () -> Void, _ log: Logger) {
        guard !isReady else { return }
        isReady = true
        ready()
        log.info("watching")
    }

    func release() {
        if let taken = lock.take() { taken.release() }
    }
}

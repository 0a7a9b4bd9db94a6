import ArgumentParser
import Block
import CLinux
import Glibc
import Restore
import Sessions
import SystemPackage

struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a device back to what it was before a session's mount.",
        discussion: """
            Everything is read and checked before the first byte is written. Through an activated \
            device the restore is itself a session, which undoes it when restored. With --online \
            the kernel puts the contents back while the device can be mounted already. A DEVICE in \
            the place of a SESSION stands for the latest session of it; a GROUP, for the last instant that all of its \
            devices have in common. On a terminal it shows what it will do, and asks.
            """)

    @OptionGroup var session: SessionOptions

    @Option(help: "Restore to this device or image file instead of the session's own.")
    var device: String?

    @Option(name: .customLong("dev"), help: "The same as --device.")
    var dev: String?

    @Flag(help: "Read and check everything, write nothing.")
    var dryRun = false

    @Flag(help: "Let the kernel do it while the device can be mounted (an activated one).")
    var online = false

    @Flag(help: "With all devices of the session's group, to the instant at which it begins.")
    var group = false

    @Flag(help: "Don't ask on a terminal.")
    var yes = false

    @Flag(help: "Leave out what is damaged or can't be read, list it, and end with 65.")
    var skipDamaged = false

    @Flag(
        help: """
            Go on though the device was written since its last session, or its chain has a gap or a \
            break.
            """)
    var acceptWrites = false

    @Flag(help: "Go on though the session's device is another one than was activated.")
    var otherDevice = false

    @Flag(
        help: ArgumentHelp(
            "Lifts nothing; says which protection applies, and the option that lifts it.",
            visibility: .hidden))
    var force = false

    func validate() throws {
        if session.named == nil, device == nil, dev == nil {
            throw ValidationError(
                "give a SESSION, or a DEVICE for its latest session; `dmsnap sessions` lists them")
        }
        if device != nil, dev != nil {
            throw ValidationError("give the device once: with --device or with --dev")
        }
        if group, session.named == nil || device != nil || dev != nil || online {
            throw ValidationError(
                "--group takes a SESSION, and restores the devices of its group themselves, offline: leave --device "
                    + "and --online out")
        }
        if online, skipDamaged {
            throw ValidationError(
                "--skip-damaged restores offline only: leave one of it and --online out")
        }
    }

    func run() throws {
        do {
            try restore()
        } catch let error as SessionsError {
            guard force, let refusal = Self.forceRefusal(error) else { throw error }
            Output.diagnose(refusal)
            throw ExitCode(ExitStatus.usage.rawValue)
        }
    }

    /// What `--force` says of an error that an option of its own would lift; nil for every other.
    static func forceRefusal(_ error: SessionsError) -> String? {
        switch error {
        case .damagedChunks, .brokenChain, .otherDevice:
            "--force lifts nothing by itself; what applies here: \(error)"
        default: nil
        }
    }

    /// What was asked for, for the domain.
    ///
    /// - Parameter name: the session, where a device was named in its place.
    func request(session name: String? = nil) throws -> RestoreRequest {
        var request = RestoreRequest(session: try name ?? session.required())
        request.device = device ?? dev
        request.dryRun = dryRun
        request.online = online
        request.skipsDamaged = skipDamaged
        request.acceptsWrites = acceptWrites
        request.acceptsOtherDevice = otherDevice
        return request
    }

    private func restore() throws {
        let service = try SnapshotService.forFiles(
            to: "restore a device", named: session.named)
        // The first signal stops cleanly between two writes.
        clinux_catch_interrupts()
        if let goal = try goal(service) { return try restore(goal, service) }
        let request = try wanted(service)
        try confirm(request, service)
        try Self.perform(request, service)
    }

    /// Restores, and says what came of it.
    ///
    /// - Throws: `ExitCode` where the device isn't surely what it was.
    static func perform(_ request: RestoreRequest, _ service: SnapshotService) throws {
        let outcome = try showingProgress { try service.restore(request, control: $0) }
        try tell(outcome, isDry: request.dryRun, service)
    }

    static func showingProgress<Outcome>(
        _ body: (RestoreControl) throws -> Outcome
    ) rethrows -> Outcome {
        let progress = ProgressPrinter(isInteractive: Terminal.isInteractive)
        defer { progress.end() }
        return try body(
            RestoreControl(
                report: { progress.show($0) }, isCancelled: { clinux_interrupted() != 0 }))
    }

    static func tell(
        _ outcome: RestoreOutcome, isDry: Bool, _ service: SnapshotService, inGroup: Bool = false
    ) throws {
        list(outcome.report.damage)
        if outcome.isOnline {
            // Somebody has to see its end.
            try MonitorLauncher.ensureRunning(service.layout)
        }
        try Output.print(summary(of: outcome, isDry: isDry))
        if let undo = outcome.undo, !inGroup {
            try Output.print("To undo it: dmsnap restore --session \(Output.visible(undo.text))")
        }
        if let loss = outcome.loss {
            Output.diagnose(
                """
                what the restore overwrote was not kept (\(Output.visible(loss))): nothing undoes it, and no older session \
                can be restored any more
                """)
            throw ExitCode(ExitStatus.ioError.rawValue)
        }
        if outcome.proof != .none, !outcome.isProven { throw ExitCode(ExitStatus.damaged.rawValue) }
    }

    /// The session, or the latest one of the device that stands in its place.
    private func wanted(_ service: SnapshotService) throws -> RestoreRequest {
        guard let name = session.named else {
            guard let device = device ?? dev else { return try request() }
            var request = try request(latestOf: device, service)
            request.device = nil
            return request
        }
        if session.session != nil { return try request() }
        do {
            _ = try service.session(named: name)
            return try request()
        } catch let error as SessionsError {
            switch error {
            case .noSuchSession, .damagedStore: break
            default: throw error
            }
            do {
                // To another device this one is left alone.
                guard device == nil, dev == nil else {
                    return try request(session: service.latestSession(of: name).record.name.text)
                }
                return try request(latestOf: name, service)
            } catch let other as SessionsError where other.exitStatus != .busy {
                throw error
            }
        }
    }

    private func request(
        latestOf device: String, _ service: SnapshotService
    ) throws -> RestoreRequest {
        let latest = try service.latestRequest(for: device)
        var request = try request(session: latest.session)
        request.latest = latest.latest
        return request
    }

    /// Shows what will be done, and asks, where somebody is there to answer.
    private func confirm(_ request: RestoreRequest, _ service: SnapshotService) throws {
        guard asks else { return }
        try Self.require(Self.question(service.preview(request)))
    }

    /// Whether to ask before anything is written.
    var asks: Bool { !yes && !dryRun && Terminal.hasSomebody }

    /// - Throws: `ExitCode` unless somebody agrees.
    static func require(_ question: String) throws {
        guard !Terminal.agrees(question) else { return }
        Output.diagnose("nothing was done")
        throw ExitCode(ExitStatus.ioError.rawValue)
    }

    /// What a restore will do: where, to what, how much, and what goes with it.
    static func question(_ preview: RestorePreview) -> String {
        let record = preview.session.record
        let label = record.label.map { " (\(Output.visible($0.text)))" } ?? ""
        let amount =
            preview.bytes.map { "up to \(ByteCount($0).formatted) of it are written over" }
            ?? "how much is written over is seen when it is read"
        let later =
            preview.later.isEmpty
            ? ""
            : "\nUndone with it, the later sessions: "
                + preview.later.map { Output.visible($0) }.joined(separator: ", ") + "."
        return """
            \(Output.visible(preview.device)) goes back to what it was before session \
            \(Output.visible(record.name))\(label), opened \(Moment.text(record.openedAt)): \
            \(amount).\(later)
            """
    }

    /// What the device is now, and no more than is known of it.
    private static func summary(of outcome: RestoreOutcome, isDry: Bool) -> String {
        let device = Output.visible(outcome.device)
        let bytes = ByteCount(outcome.report.totals.bytes).formatted
        let first = "session \(Output.visible(outcome.session.record.name))"
        let later = outcome.chain.count - 1
        let sessions = later == 0 ? first : "\(first) and the \(later) after it"
        let lost = outcome.report.damage.bytes
        let but = lost == 0 ? "" : " but for \(lost) bytes that can't be read"
        if isDry {
            return "\(device): \(sessions) can be restored\(but): \(bytes) read and checked, "
                + "nothing written."
        }
        if outcome.isOnline {
            return """
                \(device): restoring \(sessions) online: \(bytes) to put back. \
                \(verdict(of: outcome, shown: true)) It can be mounted now.
                `dmsnap status` shows how much is back.
                """
        }
        return "\(device): restored \(sessions)\(but): \(bytes) put back. "
            + verdict(of: outcome, shown: false)
    }

    /// The one sentence that all of this is for: said only where a comparison bears it out, and with
    /// what it hangs on.
    private static func verdict(of outcome: RestoreOutcome, shown: Bool) -> String {
        let record = outcome.session.record
        // Its store was armed before that restore began.
        let what =
            if record.kind != .offline, let other = record.restoreOf {
                "what it was before session \(Output.visible(other)) was restored, into which that mount came"
            } else { "what it was before that mount" }
        guard outcome.isProven else {
            return shown ? "It does NOT show \(what)." : "It is NOT \(what)."
        }
        let claim = shown ? "It shows \(what)" : "It is \(what)"
        let overridden = outcome.overridden.map(Output.visible)
        if !overridden.isEmpty {
            return "\(claim) where that could be compared; what no session has is not put back: "
                + overridden.joined(separator: "; ") + "."
        }
        let conditions = outcome.conditions.map(Output.visible)
        return conditions.isEmpty
            ? "\(claim)."
            : "\(claim), provided that " + conditions.joined(separator: " and that ") + "."
    }

    /// What had to be left out: all of it, since the device is otherwise as it was.
    private static func list(_ damage: Damage) {
        for range in damage {
            Output.diagnose(
                "not restored: bytes \(range.range.bytes.lowerBound) to "
                    + "\(range.range.bytes.upperBound - 1), \(range)")
        }
        if !damage.isComplete {
            Output.diagnose("not restored: and \(damage.rangeCount - UInt64(damage.count)) more")
        }
    }
}

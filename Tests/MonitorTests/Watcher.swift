import KernelSimulation
import Logging
import StoreTesting
import Synchronization
import SystemPackage

@testable import Monitor
@testable import Sessions

/// A monitor's decisions on a simulated machine, and what it says.
final class Watcher {
    let world: World
    private var reconciler: Reconciler
    private let lines = Lines()

    /// - Parameter hasRule: whether udev's rule opens a session when one is announced.
    init(_ world: World, hasRule: Bool = true) throws {
        self.world = world
        let lines = lines
        var log = Logger(label: "test") { _ in Recorder(lines: lines) }
        log.logLevel = .info
        reconciler = Reconciler(
            service: try world.service(), log: log, writers: try WriterWatch())
        let kernel = world.kernel
        let layout = world.layout
        world.kernel.rule = { [unowned kernel] name, word in
            guard hasRule, word == "opened" else { return }
            _ = try? SnapshotService(kernel: kernel, layout: layout).openSession(name)
        }
    }

    deinit { world.kernel.rule = { _, _ in } }

    /// One look.
    @discardableResult
    func look(isWoken: Bool = true) -> Reconciler.Next { reconciler.reconcile(isWoken: isWoken) }

    /// What nobody used at the last look.
    var idle: [Activation] { reconciler.idle }

    /// As the monitor does between two looks.
    ///
    /// - Returns: whether the settings had changed.
    func takeSettings() -> Bool {
        guard let settings = reconciler.service.changedSettings() else { return false }
        reconciler.service = reconciler.service.with(settings)
        return true
    }

    func set(rulePatience: Duration) { reconciler.rulePatience = rulePatience }

    func set(holdPatience: Duration) { reconciler.holdPatience = holdPatience }

    /// In the place of mount(8).
    func set(makeReadOnly: @escaping (String) -> Void) {
        let kernel = world.kernel
        reconciler.overlays.makeReadOnly = { [unowned kernel] directory in
            makeReadOnly(directory)
            kernel.remountReadOnly(directory)
        }
    }

    /// What was said since this was last asked, as `error: …`.
    func said() -> [String] { lines.take() }

    /// The words announced.
    var words: [String] { world.kernel.events.map(\.word).filter { $0 != "change" } }
}

/// A log's lines.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    func add(_ line: String) { lines.withLock { $0.append(line) } }

    func take() -> [String] {
        lines.withLock { lines in
            defer { lines = [] }
            return lines
        }
    }
}

/// Writes a log's lines down.
struct Recorder: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    init(lines: Lines) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.add("\(event.level): \(event.message)") }
}

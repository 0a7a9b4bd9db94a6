import Block
import ExceptionStore
import StoreTesting
import Synchronization
import SystemPackage

@testable import Restore

/// Stands between the engine and its queue: counts what is under way, and can answer itself.
final class WatchedQueue: RequestQueue {
    /// What all queues of a restore did.
    final class Record: Sendable {
        private let numbers = Mutex<(underWay: Int, most: Int, begun: Int)>((0, 0, 0))

        var underWay: Int { numbers.withLock { $0.underWay } }
        var most: Int { numbers.withLock { $0.most } }
        var begun: Int { numbers.withLock { $0.begun } }

        func begin() -> Int {
            numbers.withLock {
                $0.underWay += 1
                $0.most = max($0.most, $0.underWay)
                $0.begun += 1
                return $0.begun
            }
        }

        func end() { numbers.withLock { $0.underWay -= 1 } }
    }

    /// What becomes of a request.
    enum Fate: Sendable {
        case passed
        /// It ends with this, and nothing is moved.
        case answered(Int)
        /// Only so many bytes of it are moved.
        case cut(Int)
    }

    private let base: any RequestQueue
    private let record: Record
    private let fate: @Sendable (_ number: Int, _ request: Request) -> Fate
    private var answers: [Completion] = []

    init(
        _ base: any RequestQueue, _ record: Record,
        _ fate: @escaping @Sendable (Int, Request) -> Fate
    ) {
        self.base = base
        self.record = record
        self.fate = fate
    }

    func submit(_ request: Request) {
        switch fate(record.begin(), request) {
        case .passed: base.submit(request)
        case .answered(let result): answers.append(Completion(tag: request.tag, result: result))
        case .cut(let length):
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: request.memory[..<length])
            unsafe base.submit(
                Request(
                    kind: request.kind, memory: part, offset: request.offset, tag: request.tag))
        }
    }

    func start() { base.start() }

    func next() -> Completion {
        record.end()
        return answers.popLast() ?? base.next()
    }
}

extension EngineSettings {
    /// These settings, with somebody between the engine and its queues.
    func watched(
        _ record: WatchedQueue.Record,
        _ fate: @escaping @Sendable (Int, Request) -> WatchedQueue.Fate = { _, _ in .passed }
    ) -> EngineSettings {
        var settings = self
        settings.wrap = { WatchedQueue($0, record, fate) }
        return settings
    }

    /// Both forms, with much and with little at a time.
    static var all: [EngineSettings] {
        var made: [EngineSettings] = []
        for form in [Form.automatic, .threads] {
            for (depth, isDirect) in [(64, true), (3, true), (2, false)] {
                var settings = EngineSettings()
                settings.form = form
                settings.depth = depth
                settings.isDirect = isDirect
                settings.largestRequest = depth == 3 ? 1024 : 512 << 10
                made.append(settings)
            }
        }
        return made
    }
}

/// A source of which some stored bytes are lost.
struct DamagedSource: ChunkSource {
    struct Lost: Error {}

    struct LostHere: LocatedDamage {
        let storedBytes: Range<UInt64>
    }

    let base: any ChunkSource
    let lost: [Range<UInt64>]
    /// Whether its errors say what is lost.
    let locates: Bool

    var path: FilePath { base.path }
    var exceptions: ExceptionTable { base.exceptions }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        let range = storedOffset..<storedOffset + UInt64(buffer.count)
        if let hit = lost.first(where: { $0.overlaps(range) }) {
            if locates { throw .damaged(LostHere(storedBytes: hit)) }
            throw .damaged(Lost())
        }
        try base.read(into: &buffer, at: storedOffset)
    }
}

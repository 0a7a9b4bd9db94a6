import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import Restore

@Suite struct FailureTests {
    /// Runs a restore that has to fail; returns its error.
    static func failure(
        _ plan: RestorePlan, on target: FilePath, _ access: OwnedDescriptor.Access = .readWrite,
        batchSize: Int = 8192, readBack: Bool = false, settings: EngineSettings = EngineSettings(),
        control: RestoreControl = RestoreControl()
    ) throws -> RestoreError {
        let descriptor = try OwnedDescriptor.open(target, access)
        do {
            _ = try plan.run(
                on: descriptor, RestoreOptions(readBack: readBack, batchSize: batchSize), settings,
                control)
        } catch {
            #expect(!error.description.isEmpty)
            return error
        }
        throw NoFailure()
    }

    struct NoFailure: Error {}

    /// One thread, so that reads come in order.
    static var withOneThread: EngineSettings {
        var settings = EngineSettings()
        settings.threads = 1
        return settings
    }

    static func systemError() throws -> SystemError {
        do {
            _ = try OwnedDescriptor.open("/nowhere", .readOnly)
        } catch {
            return error
        }
        throw NoFailure()
    }

    @Test func `an error on a source in verifying leaves the target untouched`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let cause = try Self.systemError()
        let base = try #require(try chain.sources().first)
        // The last chunk that is kept.
        let last = try #require(base.exceptions.storedChunk(for: 38))
        let source = WatchedSource(base: base) { range throws(ChunkReadError) in
            if range.contains(last * 4096) { throw .system(cause) }
        }
        let error = try Self.failure(RestorePlan(sources: [source]), on: target)
        guard case .damaged(let damage) = error.reason, let lost = damage.first,
            case .system(cause) = lost.cause
        else {
            Issue.record("\(error)")
            return
        }
        #expect(damage.count == 1 && damage.bytes == 4096)
        #expect(lost.source.index == 0 && lost.source.path == chain.stores[0])
        #expect(lost.range == ByteRange(38 * 4096..<39 * 4096) && lost.chunks == 38...38)
        #expect(lost.storedOffset == last * 4096)
        #expect(error.bytesWritten == 0 && !error.targetTouched)
        #expect(try TemporaryDirectory.contents(target) == chain.states[1])
    }

    @Test func `a source's own damage is passed on`() throws {
        struct BadFrame: Error, Equatable { let number: Int }
        let chain = try Chain.simple()
        let base = try #require(try chain.sources().first)
        let source = WatchedSource(base: base) { _ throws(ChunkReadError) in
            throw .damaged(BadFrame(number: 3))
        }
        let error = try Self.failure(RestorePlan(sources: [source]), on: chain.target())
        guard case .damaged(let damage) = error.reason, damage.bytes == 20 * 4096,
            case .damaged(let cause)? = damage.first?.cause
        else {
            Issue.record("\(error)")
            return
        }
        #expect(cause as? BadFrame == BadFrame(number: 3))
    }

    @Test func `a store that was cut after it was opened leaves the target untouched`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        try TemporaryDirectory.resize(chain.stores[0], to: 10 * 4096)
        let error = try Self.failure(plan, on: target)
        guard case .damaged(let damage) = error.reason,
            case .ended(let size)? = damage.first?.cause
        else {
            Issue.record("\(error)")
            return
        }
        #expect(size >= ByteCount(10 * 4096))
        #expect(!error.targetTouched)
        #expect(try TemporaryDirectory.contents(target) == chain.states[1])
    }

    @Test func `a byte changed between verifying and writing stops before it is written`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let sources = try chain.sources()
        // In the last batch.
        let stored = try #require(sources[0].exceptions.storedChunk(for: 38))
        let store = chain.stores[0]
        let control = RestoreControl(report: { progress in
            guard progress.phase == .writing, progress.bytesDone == 0 else { return }
            do {
                try TemporaryDirectory.patch(store, at: Int64(stored * 4096 + 17), [0])
            } catch {
                Issue.record(error)
            }
        })
        let error = try Self.failure(
            RestorePlan(sources: sources), on: target, settings: Self.withOneThread,
            control: control)
        guard case .changedSinceVerified(let range, let names) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(range == ByteRange(36 * 4096..<39 * 4096))
        #expect(names.map(\.path) == [store])
        #expect(error.bytesWritten == 18 * 4096 && error.targetTouched)
        let now = try TemporaryDirectory.contents(target)
        #expect(now[..<(36 * 4096)] == chain.states[0][..<(36 * 4096)])
        #expect(now[(36 * 4096)...] == chain.states[1][(36 * 4096)...])
    }

    @Test func `a target that can't be written is reported with the range`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        let error = try Self.failure(plan, on: target, .readOnly)
        guard case .target(let range, let cause) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(range == ByteRange(0..<4096))
        #expect(cause.errno == .badFileDescriptor)
        #expect(error.bytesWritten == 0 && error.targetTouched)
    }

    @Test(arguments: [-512, -1, 512])
    func `a target of another size is refused before anything is read`(difference: Int) throws {
        let chain = try Chain.simple()
        let reads = Log<Range<UInt64>>()
        let source = WatchedSource(base: try #require(try chain.sources().first)) {
            range throws(ChunkReadError) in
            reads.append(range)
        }
        let bytes = [UInt8](repeating: 1, count: 40 * 4096 + difference)
        let target = try chain.directory.file("target", bytes)
        let error = try Self.failure(RestorePlan(sources: [source]), on: target)
        guard case .targetSizeDiffers(let found, let wanted) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(found.bytes == UInt64(bytes.count) && wanted.bytes == 40 * 4096)
        #expect(reads.elements.isEmpty)
        #expect(try TemporaryDirectory.contents(target) == bytes)
    }

    @Test func `a verified plan, too, is refused by a target of another size`() throws {
        let chain = try Chain.simple()
        let verified = try RestorePlan(sources: chain.sources()).verify()
        let target = try chain.directory.file("target", [1, 2, 3])
        let descriptor = try open(target)
        do {
            _ = try verified.apply(to: descriptor)
            Issue.record("applied")
        } catch {
            #expect(!error.targetTouched)
        }
        #expect(try TemporaryDirectory.contents(target) == [1, 2, 3])
    }

    @Test func `bytes that the target lost are found by reading back`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let control = RestoreControl(report: { progress in
            guard progress.phase == .readingBack, progress.bytesDone == 0 else { return }
            do {
                try TemporaryDirectory.patch(target, at: 2 * 4096 + 1, [0])
            } catch {
                Issue.record(error)
            }
        })
        let plan = try RestorePlan(sources: chain.sources())
        let error = try Self.failure(plan, on: target, readBack: true, control: control)
        guard case .readBackDiffers(let range) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(range == ByteRange(0..<3 * 4096))
        #expect(error.bytesWritten == plan.totals.bytes && error.targetTouched)
    }

    @Test func `a stop while verifying leaves the target untouched`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let log = Log<RestoreProgress>()
        let control = RestoreControl(
            report: log.append, isCancelled: { log.elements.last?.bytesDone == 3 * 8192 })
        let error = try Self.failure(
            RestorePlan(sources: chain.sources()), on: target, control: control)
        guard case .cancelled(.verifying, let done, let total) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(done == 3 * 8192 && total == 20 * 4096)
        #expect(error.bytesWritten == 0 && !error.targetTouched)
        #expect(try TemporaryDirectory.contents(target) == chain.states[1])
    }

    @Test func `a stop while writing says how far it came, and a second run completes it`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        let log = Log<RestoreProgress>()
        let control = RestoreControl(
            report: log.append,
            isCancelled: {
                log.elements.last.map { $0.phase == .writing && $0.bytesDone == 16384 } ?? false
            })
        let error = try Self.failure(plan, on: target, control: control)
        guard case .cancelled(.writing, let done, let total) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(done == 16384 && total == 20 * 4096)
        // What was under way was awaited.
        #expect(error.bytesWritten >= 16384 && error.targetTouched)
        let now = try TemporaryDirectory.contents(target)
        #expect(now[..<(8 * 4096)] == chain.states[0][..<(8 * 4096)])
        let written = (0..<20).filter { chunk in
            let range = 2 * chunk * 4096..<(2 * chunk + 1) * 4096
            return now[range] == chain.states[0][range]
        }
        #expect(UInt64(written.count) * 4096 == error.bytesWritten)

        _ = try plan.run(on: open(target))
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
    }

    @Test func `a stop before the first write leaves the target untouched`() throws {
        let chain = try Chain.simple()
        let target = try chain.target()
        let log = Log<RestoreProgress>()
        let control = RestoreControl(
            report: log.append, isCancelled: { log.elements.last?.phase == .writing })
        let error = try Self.failure(
            RestorePlan(sources: chain.sources()), on: target, control: control)
        #expect(!error.targetTouched)
        #expect(try TemporaryDirectory.contents(target) == chain.states[1])
    }
}

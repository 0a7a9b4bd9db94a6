import Block
import ExceptionStore
import StoreTesting
import SystemPackage
import Testing

@testable import Restore

@Suite struct EngineTests {
    /// A chain of random sessions with chunks of all sizes.
    static func chain(_ seed: UInt64, size: Int? = nil) throws -> Chain {
        var generator = SeededGenerator(seed: seed)
        let bytes = size ?? Int.random(in: 1...300_000, using: &generator)
        var chain = try Chain(origin: generator.bytes(bytes))
        for session in 0..<Int.random(in: 1...4, using: &generator) {
            let chunkBytes = [512, 1024, 4096].randomElement(using: &generator) ?? 512
            try chain.session(chunkBytes: chunkBytes, seed: seed &+ UInt64(session) << 32) {
                $0.writeAtRandom(40)
            }
        }
        return chain
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `both forms give the same bytes, whatever is under way at a time`(seed: UInt64) throws {
        let chain = try Self.chain(seed)
        for (number, settings) in EngineSettings.all.enumerated() {
            let target = try chain.target()
            let report = try RestorePlan(sources: chain.sources()).run(
                on: open(target), RestoreOptions(readBack: true, batchSize: 8192), settings,
                RestoreControl())
            let restored = try TemporaryDirectory.contents(target) == chain.states[0]
            #expect(restored, "seed \(seed), settings \(number)")
            #expect(report.bytesWritten == report.totals.bytes && report.damage.isEmpty)
        }
    }

    @Test func `many requests are under way, and no more than there may be`() throws {
        let chain = try Self.chain(5, size: 1 << 20)
        let record = WatchedQueue.Record()
        var settings = EngineSettings()
        settings.depth = 16
        settings.largestRequest = 512
        _ = try RestorePlan(sources: chain.sources()).run(
            on: open(chain.target()), RestoreOptions(), settings.watched(record), RestoreControl())
        #expect(record.most == 16 && record.underWay == 0)
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func `requests that end early are gone on with`(seed: UInt64) throws {
        let chain = try Self.chain(seed)
        let record = WatchedQueue.Record()
        let settings = EngineSettings.all[Int(seed) % EngineSettings.all.count]
            .watched(record) { number, request in
                switch number % 7 {
                case 1: .answered(-Int(Errno.interrupted.rawValue))
                case 3: .answered(-Int(Errno.resourceTemporarilyUnavailable.rawValue))
                case 5 where unsafe request.memory.count > 1:
                    .cut(1 + Int(seed) * 97 % (unsafe request.memory.count - 1))
                default: .passed
                }
            }
        let target = try chain.target()
        _ = try RestorePlan(sources: chain.sources()).run(
            on: open(target), RestoreOptions(readBack: true, batchSize: 16384), settings,
            RestoreControl())
        let restored = try TemporaryDirectory.contents(target) == chain.states[0]
        #expect(restored && record.underWay == 0, "seed \(seed)")
    }

    @Test(arguments: [EngineSettings.Form.automatic, .threads])
    func `a write that fails in mid-flight is named, and nothing stays under way`(
        form: EngineSettings.Form
    ) throws {
        let chain = try Chain.simple()
        let record = WatchedQueue.Record()
        var settings = EngineSettings()
        settings.form = form
        settings = settings.watched(record) { _, request in
            request.offset == 20 * 4096 ? .answered(-Int(Errno.ioError.rawValue)) : .passed
        }
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        let error = try FailureTests.failure(plan, on: target, settings: settings)
        guard case .target(let range, let cause) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect(range == ByteRange(20 * 4096..<21 * 4096) && cause.errno == .ioError)
        #expect(error.targetTouched && record.underWay == 0)
        let now = try TemporaryDirectory.contents(target)
        let written = (0..<20).filter { chunk in
            let range = 2 * chunk * 4096..<(2 * chunk + 1) * 4096
            return now[range] == chain.states[0][range]
        }
        #expect(UInt64(written.count) * 4096 == error.bytesWritten)
    }

    @Test(arguments: [EngineSettings.Form.automatic, .threads])
    func `a target without room for anything is named`(form: EngineSettings.Form) throws {
        // Its size is 0, so that it is asked at the queue itself.
        let full = try OwnedDescriptor.open("/dev/full", .readWrite)
        var settings = EngineSettings()
        settings.form = form
        let chain = try Chain.simple()
        let plan = try RestorePlan(sources: chain.sources())
        let slot = BatchSlot(capacity: 1 << 20, settings)
        var iterator = BatchIterator(plan.extents, capacity: 1 << 20)
        let isThere = iterator.next(into: &slot.batch)
        #expect(isThere)
        let transfer = TargetTransfer(full, settings)
        transfer.begin(.write, slot)
        transfer.drain()
        transfer.close()
        guard case .target(let range, let cause)? = transfer.failure?.reason else {
            Issue.record("no failure")
            return
        }
        #expect(range == ByteRange(0..<4096) && cause.errno == .noSpace)
        #expect(transfer.isIdle && transfer.bytesDone == 0 && slot.requests == 0)
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func `after a stop anywhere a second run makes it whole`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let chain = try Self.chain(seed, size: 250_000)
        let target = try chain.target()
        let plan = try RestorePlan(sources: chain.sources())
        let settings = EngineSettings.all[Int(seed) % EngineSettings.all.count]
        let events = Log<RestoreProgress>()
        let last = Int.random(in: 1...60, using: &generator)
        let record = WatchedQueue.Record()
        let descriptor = try open(target)
        do throws(RestoreError) {
            _ = try plan.run(
                on: descriptor, RestoreOptions(readBack: true, batchSize: 8192),
                settings.watched(record),
                RestoreControl(
                    report: events.append, isCancelled: { events.elements.count >= last }))
        } catch {
            guard case .cancelled = error.reason else { throw error }
            #expect(record.underWay == 0)
            #expect(error.targetTouched == (error.bytesWritten > 0))
        }
        _ = try plan.run(on: open(target))
        let restored = try TemporaryDirectory.contents(target) == chain.states[0]
        #expect(restored, "seed \(seed)")
    }

    // A file system may take O_DIRECT and still refuse some or all requests.
    @Test(arguments: [1, 2, 7, 1000])
    func `a target that refuses direct requests is written through the cache`(first: Int) throws {
        let chain = try Self.chain(77, size: 200_000)
        let target = try chain.target()
        let descriptor = try open(target)
        let raw = descriptor.descriptor
        let refusals = Log<Int>()
        let settings = EngineSettings().watched(WatchedQueue.Record()) { number, _ in
            guard number >= first, raw.isDirect else { return .passed }
            refusals.append(number)
            return .answered(-Int(Errno.invalidArgument.rawValue))
        }
        _ = try RestorePlan(sources: chain.sources()).run(
            on: descriptor, RestoreOptions(readBack: true, batchSize: 8192), settings,
            RestoreControl())
        #expect(try TemporaryDirectory.contents(target) == chain.states[0])
        #expect(!raw.isDirect)
    }

    // The last bytes make no sector, and no direct request.
    @Test(arguments: [1, 511, 512, 513, 4095, 4097])
    func `an image's odd end is written, and the descriptor is as it was`(tail: Int) throws {
        for isDirect in [false, true] {
            var generator = SeededGenerator(seed: UInt64(tail))
            var chain = try Chain(origin: generator.bytes(16 * 4096 + tail))
            try chain.session(chunkBytes: 512, seed: 1) { model in
                for chunk in 20..<(16 * 4096 + tail + 511) / 512 {
                    model.write([1], at: chunk * 512)
                }
            }
            let target = try chain.target()
            let descriptor = try open(target)
            let could = isDirect && descriptor.descriptor.setDirect(true)
            _ = try RestorePlan(sources: chain.sources()).run(
                on: descriptor, options: RestoreOptions(readBack: true, batchSize: 4096))
            #expect(descriptor.descriptor.isDirect == could)
            #expect(try TemporaryDirectory.contents(target) == chain.states[0])
        }
    }

    @Test func `batches take no more memory than they may, and none is left`() throws {
        var settings = EngineSettings()
        settings.threads = 6
        let entries = (0..<12_000 as Range<UInt64>).map { (2 * $0, $0) }
        let source = FilledSource(
            try ExceptionTable(
                entries.map { ExceptionEntry(originChunk: $0.0, storedChunk: $0.1) },
                chunkSize: ChunkSize(ByteCount(4096)), originSize: ByteCount(24_000 * 4096),
                storedChunks: 12_000))
        let directory = try TemporaryDirectory()
        let target = try directory.file("target", [])
        try TemporaryDirectory.resize(target, to: 24_000 * 4096)
        _ = try RestorePlan(sources: [source]).run(
            on: open(target), RestoreOptions(readBack: true), settings, RestoreControl())
        #expect(settings.meter.peak > 512 << 10)
        #expect(settings.meter.peak <= settings.slots * (512 << 10))
        #expect(settings.meter.now == 0)
    }

    /// As much as there can be, without any memory.
    struct FilledSource: ChunkSource {
        let path: FilePath = "filled"
        let exceptions: ExceptionTable

        init(_ exceptions: ExceptionTable) { self.exceptions = exceptions }

        func read(
            into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
        ) throws(ChunkReadError) {
            unsafe buffer.withUnsafeMutableBytes { bytes in
                _ = unsafe bytes.initializeMemory(
                    as: UInt8.self, repeating: UInt8(truncatingIfNeeded: storedOffset >> 12))
            }
        }
    }
}

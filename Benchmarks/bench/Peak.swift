import ArgumentParser
import Block
import ExceptionStore
import Restore
import SessionArchive
import SystemPackage

/// One piece of work in a process of its own, which prints how long it took and the most memory that
/// it had.
struct Peak: AsyncParsableCommand {
    enum Work: String, ExpressibleByArgument, CaseIterable {
        case archive, restore
    }

    @Argument var work: Work
    @Argument var exceptions: UInt64

    func run() async throws {
        let source = try MadeUp(exceptions: exceptions)
        let start = ContinuousClock.now
        switch work {
        case .archive:
            let null = try FileDescriptor.open(FilePath("/dev/null"), .writeOnly)
            try ArchiveWriter.write(source, metadata: "{}", to: null)
        case .restore: _ = try RestorePlan(sources: [source]).verify()
        }
        let time = seconds(ContinuousClock.now - start)
        let status = String(decoding: try Files.read("/proc/self/status"), as: UTF8.self)
        let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") }
        let kibibytes = peak.flatMap { Double($0.split { !$0.isNumber }.first ?? "") } ?? 0
        print(time, kibibytes * 1024)
    }
}

/// Exceptions spread over a large origin, with contents that are computed: 4 KiB chunks, random gaps.
final class MadeUp: ChunkSource {
    let path: FilePath = "made up"
    let exceptions: ExceptionTable

    init(exceptions count: UInt64) throws {
        let chunk = try ChunkSize(ByteCount(4096))
        var entries: [ExceptionEntry] = []
        entries.reserveCapacity(Int(count))
        var state: UInt64 = 88_172_645_463_325_252
        var origin: UInt64 = 0
        for stored in 0..<count {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            origin += 1 + state % 30
            entries.append(ExceptionEntry(originChunk: origin, storedChunk: stored))
        }
        exceptions = try ExceptionTable(
            consume entries, chunkSize: chunk, originSize: ByteCount((origin + 1) * 4096),
            storedChunks: count)
    }

    /// Cheap, so that the cost of everything else is seen.
    func read(into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64) {
        buffer.update(repeating: UInt8(truncatingIfNeeded: storedOffset >> 12))
    }
}

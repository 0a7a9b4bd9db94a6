import Block
import ExceptionStore
import Foundation
import Restore
import StoreTesting
import SystemPackage
import Testing

@testable import SessionArchive

// An archive is somebody else's file. What it costs is measured in a process of its own: others'
// memory would count too.
@Suite struct MemoryTests {
    @Test func `a kilobyte that speaks of a tebi of zero chunks takes next to nothing`() async {
        await #expect(processExitsWith: .success) {
            var archive = HandMade()
            archive.header.originSize = 512 << 40
            archive.footer.zeroChunks = 1 << 40
            archive.footer.runSections = 1
            archive.sections = [HandMade.section(.runs, HandMade.runs(0, (1 << 41) - 1))]
            try Peak.expect(below: 4 << 20, of: archive.bytes)
        }
    }

    @Test func `a kilobyte with sixteen megabytes of zeros takes next to nothing`() async {
        await #expect(processExitsWith: .success) {
            var archive = HandMade()
            archive.header = ArchiveHeader(
                blockSize: 16 << 20, chunkSize: 512, originSize: 1 << 40, metadata: [])
            var records: [UInt8] = []
            for number in 0..<8 as Range<UInt64> {
                let block = HandMade.zeros(.block, 16 << 20, number: number)
                records += try HandMade.record(
                    block, at: archive.header.encoded.count + 40 * Int(number))
                archive.sections.append(block)
            }
            let chunks: UInt64 = 8 << 15
            archive.sections += [
                HandMade.section(.runs, HandMade.runs(0, (chunks - 1) << 1)),
                HandMade.section(.blocks, records),
            ]
            archive.blockSections = 8
            archive.footer.dataChunks = chunks
            archive.footer.blocks = 8
            archive.footer.runSections = 1
            archive.footer.blockSections = 1
            try Peak.expect(below: 4 << 20, of: archive.bytes)
        }
    }

    // Half a million runs of one chunk in five kilobytes.
    @Test func `an index that is deflated a thousandfold takes no more than its runs`() async {
        await #expect(processExitsWith: .success) {
            let contents = [UInt8](repeating: 1, count: 1 << 20)
            var payload = [UInt8](repeating: 0, count: 1 << 16)
            var span = payload.mutableSpan
            let length = try #require(
                Compressor()?.compress(contents.span, into: &span))
            var archive = HandMade()
            archive.header = ArchiveHeader(
                blockSize: 1 << 20, chunkSize: 512, originSize: 1 << 40, metadata: [])
            archive.sections = [
                HandMade.section(.runs, [UInt8](payload[..<length])) {
                    $0.method = .deflated
                    $0.contentsLength = UInt32(contents.count)
                    $0.contentsChecksum = CRC32.of(contents[...])
                }
            ]
            archive.footer.zeroChunks = 1 << 19
            archive.footer.runSections = 1
            try Peak.expect(below: 24 << 20, of: archive.bytes)
        }
    }

    @Test func `a claim of sixteen megabytes that aren't there takes next to nothing`() async {
        await #expect(processExitsWith: .success) {
            var archive = HandMade()
            archive.header = ArchiveHeader(
                blockSize: 16 << 20, chunkSize: 512, originSize: 1 << 40, metadata: [])
            archive.sections = [
                HandMade.section(.runs, [UInt8](repeating: 7, count: 900)) {
                    $0.contentsLength = 16 << 20
                    $0.payloadLength = 16 << 20
                }
            ]
            archive.footer.runSections = 1
            try Peak.expect(below: 4 << 20, of: archive.bytes, isGood: false)
        }
    }
}

/// The most memory that this process had.
enum Peak {
    struct TooMuch: Error { var bytes: Int }

    /// Opens an archive, reads some of it, plans a restore and verifies it.
    static func expect(below limit: Int, of bytes: [UInt8], isGood: Bool = true) throws {
        precondition(bytes.count < 8192)
        let directory = try TemporaryDirectory()
        let file = try directory.file("chunks.dmsz", bytes)
        // From now on what the process has is its peak (proc(5)).
        try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
        let before = try now()
        do {
            let reader = try ArchiveReader(path: file)
            precondition(isGood)
            var chunk = [UInt8](repeating: 1, count: 512)
            var span = chunk.mutableSpan
            for entry in [0, reader.exceptions.count / 2, reader.exceptions.count - 1] {
                try reader.read(
                    into: &span, at: reader.exceptions.entries[entry].storedChunk * 512)
            }
            let verification = try reader.verify()
            precondition(verification.isWhole)
            let plan = try RestorePlan(sources: [reader])
            precondition(plan.totals.chunks == UInt64(reader.exceptions.count))
            let stream = try FileDescriptor.open(file, .readOnly)
            try stream.closeAfter { _ = try ArchiveStream.verify(stream) }
        } catch is ArchiveError where !isGood {
        }
        let growth = try now() - before
        if growth > limit { throw TooMuch(bytes: growth) }
    }

    private static func now() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let number = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return try #require(number) << 10
    }
}

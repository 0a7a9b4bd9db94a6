import ArgumentParser
import Block
import CZlib
import ExceptionStore
import Restore
import SessionArchive
import SystemPackage

/// What needs no device-mapper: making archives, and restoring from them to an image file.
struct Host: AsyncParsableCommand {
    @Argument(help: "A directory for files of a few GiB.")
    var directory: String

    private static let mebibytes = 512
    private static let rounds = 5

    func run() async throws {
        var results = Results()
        for contents in ["zero", "text", "random"] {
            let store = "\(directory)/store"
            try await sh(Self.script(contents, store))
            results.measurements += try await archive(contents, store)
            results.measurements.append(try await restore(contents, store))
            if contents == "text" { results.figures.append(try size(store)) }
            results.measurements.append(try await union(contents, store))
            try await sh("rm -f \(store) \(store).gz \(directory)/archive* \(directory)/image")
        }
        results.figures += try await figures()
        try Results.print(results)
    }

    private static func script(_ contents: String, _ store: String) -> String {
        switch contents {
        case "zero":
            "truncate -s \(mebibytes)M \(store); cat \(store) > \(store).full; mv \(store).full \(store)"
        case "random": "head -c \(mebibytes)M /dev/urandom > \(store)"
        default:
            """
            find /usr/share/perl /usr/include /usr/lib/python3 /usr/share/doc -type f \
            -size -512k ! -name '*.gz' ! -name '*.pyc' -print0 2>/dev/null | sort -z | \
            xargs -0 cat > \(store).one 2>/dev/null || true
            while [ "$(stat -c %s \(store).all 2>/dev/null || echo 0)" -lt \(mebibytes << 20) ]; do
                cat \(store).one >> \(store).all
            done
            head -c \(mebibytes)M \(store).all > \(store); rm \(store).all \(store).one
            """
        }
    }

    private func archive(_ contents: String, _ store: String) async throws -> [Measurement] {
        let source = try PlainFile(store)
        let pigz = "pigz -1 -c \(store) > \(store).gz"
        func fresh() async throws { try await sh("rm -f \(directory)/archive \(store).gz; sync") }
        let written = try await compare(
            Measurement(
                what: "write an archive", contents: contents, against: "pigz -1",
                wanted: contents == "text" ? 4 : nil),
            rounds: Self.rounds,
            ours: {
                try await fresh()
                return try await timed {
                    let file = try FileDescriptor.open(
                        FilePath("\(directory)/archive"), .writeOnly,
                        options: [.create, .truncate], permissions: .ownerReadWrite)
                    try ArchiveWriter.write(source, metadata: "{}", to: file)
                    try file.close()
                }
            },
            theirs: {
                try await fresh()
                return try await time(pigz)
            })
        let made = try await compare(
            Measurement(
                what: "write, sync, read back and compare", contents: contents,
                against: "pigz -1", wanted: contents == "text" ? 2.5 : nil),
            rounds: 3,
            ours: {
                try await fresh()
                return try await timed {
                    try ArchiveFiles.create(
                        source: source, metadata: "{}", at: FilePath("\(directory)/archive"))
                }
            },
            theirs: {
                try await fresh()
                return try await time(pigz)
            })
        guard contents != "text" else { return [written, made] }
        let read = try await compare(
            Measurement(
                what: "write an archive", contents: contents,
                against: "read and checksum alone", wanted: 0.8),
            rounds: Self.rounds,
            ours: {
                try await fresh()
                return try await timed {
                    let null = try FileDescriptor.open(FilePath("/dev/null"), .writeOnly)
                    try ArchiveWriter.write(source, metadata: "{}", to: null)
                }
            },
            theirs: { try await timed { try await source.checksum() } })
        return [written, made, read]
    }

    private func restore(_ contents: String, _ store: String) async throws -> Measurement {
        let source = try PlainFile(store)
        let archive = FilePath("\(directory)/archive")
        let image = FilePath("\(directory)/image")
        try ArchiveFiles.create(source: source, metadata: "{}", at: archive)
        try await sh("pigz -1 -c \(store) > \(store).gz; truncate -s \(Self.mebibytes)M \(image)")
        return try await compare(
            Measurement(
                what: "restore from an archive to an image", contents: contents,
                against: "pigz -dc > image", wanted: contents == "text" ? 1.5 : nil),
            rounds: Self.rounds,
            ours: {
                try await sh("sync")
                return try await timed {
                    let target = try OwnedDescriptor.open(image, .readWrite)
                    let plan = try RestorePlan(sources: [ArchiveReader(path: archive)])
                    _ = try plan.run(on: target)
                }
            },
            theirs: {
                try await sh("sync")
                return try await time(
                    "pigz -dc \(store).gz | dd of=\(image) bs=1M iflag=fullblock conv=notrunc,fsync status=none"
                )
            })
    }

    /// What an archive takes by what pigz makes, after a restore from both.
    private func size(_ store: String) throws -> Figure {
        let sizes = try ["\(directory)/archive", "\(store).gz"].map {
            Double(try OwnedDescriptor.open(FilePath($0), .readOnly).size().bytes)
        }
        return Figure(
            what: "archive: size of text by that of pigz -1", value: sizes[0] / sizes[1],
            unit: "times", limit: 1.03)
    }

    /// What merging a session into the one before it takes: both have three fifths of the file, a fifth of it in
    /// common.
    private func union(_ contents: String, _ store: String) async throws -> Measurement {
        let parts = [("older", 0.0...0.6), ("younger", 0.4...1.0)].map { name, share in
            (path: FilePath("\(directory)/archive-\(name)"), share: share)
        }
        for part in parts {
            try ArchiveFiles.create(
                source: PlainFile(store, part.share), metadata: "{}", at: part.path)
        }
        func readers() throws -> [ArchiveReader] {
            try parts.map { try ArchiveReader(path: $0.path) }
        }
        return try await compare(
            Measurement(
                what: "union of two archives", contents: contents,
                against: "read and check both", wanted: 0.8),
            rounds: Self.rounds,
            ours: {
                try await sh("rm -f \(directory)/archive; sync")
                return try await timed {
                    try ArchiveFiles.create(
                        source: UnionSource(RestorePlan(sources: readers())), metadata: "{}",
                        at: FilePath("\(directory)/archive"))
                }
            },
            theirs: { try await timed { for one in try readers() { _ = try one.verify() } } })
    }

    /// Memory at 16 million exceptions, and the cost of one exception at every magnitude.
    private func figures() async throws -> [Figure] {
        var figures: [Figure] = []
        for work in Peak.Work.allCases {
            let (_, memory) = try await peak(work, 16_000_000)
            figures.append(
                Figure(
                    what: "\(work): memory beyond the table, 16 million exceptions of 1 TiB",
                    value: (memory - 16 * 16_000_000) / 1048576, unit: "MiB", limit: 64))
            for magnitude in 3...7 {
                let count = (0..<magnitude).reduce(UInt64(1)) { value, _ in value * 10 }
                // The small ones are over before a thread has started.
                var best = Double.infinity
                for _ in 0..<3 { best = min(best, try await peak(work, count).0) }
                figures.append(
                    Figure(
                        what: "\(work): an exception of 10^\(magnitude)",
                        value: best / Double(count) * 1e9, unit: "ns"))
            }
        }
        return figures
    }

    private func peak(_ work: Peak.Work, _ count: UInt64) async throws -> (Double, Double) {
        let program = try Files.resolve("/proc/self/exe")
        let words = try await sh("\(program) peak \(work) \(count)").split(separator: " ")
        guard words.count == 2, let time = Double(words[0]), let memory = Double(words[1]) else {
            throw CommandFailure(description: "bench peak printed \(words)")
        }
        return (time, memory)
    }
}

/// Chunks of a file, of 4 KiB each, as if all of them had been overwritten.
final class PlainFile: ChunkSource {
    let path: FilePath
    let exceptions: ExceptionTable
    private let file: OwnedDescriptor

    /// - Parameter share: which part of the file; all of it is 0 to 1.
    init(_ text: String, _ share: ClosedRange<Double> = 0...1) throws {
        path = FilePath(text)
        file = try OwnedDescriptor.open(path, .readOnly)
        let size = try file.size()
        let count = size.bytes / 4096
        let chunks =
            UInt64(Double(count) * share.lowerBound)..<UInt64(Double(count) * share.upperBound)
        exceptions = try ExceptionTable(
            chunks.map { ExceptionEntry(originChunk: $0, storedChunk: $0) },
            chunkSize: ChunkSize(ByteCount(4096)), originSize: size, storedChunks: count)
    }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        do {
            _ = try file.read(into: &buffer, at: storedOffset)
        } catch {
            throw .system(error)
        }
    }

    /// Reads everything and computes its CRC-32, on every processor.
    func checksum() async throws {
        let size = try file.size().bytes
        let block = 256 << 10
        let next = Counter()
        let workers = Int(try await sh("nproc")) ?? 1
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<workers {
                group.addTask { [self] in
                    var buffer = [UInt8](repeating: 0, count: block)
                    while true {
                        let offset = UInt64(next.take() * block)
                        guard offset < size else { return }
                        var span = buffer.mutableSpan
                        _ = try file.read(into: &span, at: offset)
                        _ = unsafe buffer.withUnsafeBufferPointer { bytes in
                            unsafe crc32_z(0, bytes.baseAddress, bytes.count)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

import Block
import Glibc
import Restore
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ExportTests {
    private let directory: TemporaryDirectory
    private var image: FilePath { directory.path.appending("image") }
    private let size = ByteCount(5 << 20)

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func note(
        chain: String = "chain", session: String? = "s",
        _ change: (inout ExportNote) -> Void = { _ in }
    ) throws -> ExportNote {
        var note = ExportNote(chain: chain, size: size)
        note.session = try session.map { try #require(SessionName($0)) }
        note.image = try stamp()
        change(&note)
        return note
    }

    private func stamp() throws -> FileStamp {
        if !Files.exists(image) { _ = try directory.file("image", [1, 2, 3]) }
        return FileStamp(try FileTree.Entry(image))
    }

    private func basis(_ note: ExportNote?, _ image: FileStamp?) -> ExportBasis? {
        ExportBasis(note, image: image, chain: "chain", size: size)
    }

    @Test(
        "A file is brought up to date by what changed only if it is what an export of the chain left"
    )
    func rules() throws {
        let now = try stamp()
        #expect(try basis(note(), now) == .session(#require(SessionName("s"))))
        #expect(basis(nil, nil) == .nothing)
        // What a note says of a file that isn't there is nothing.
        #expect(try basis(note(), nil) == .nothing)
        #expect(basis(nil, now) == nil)
        #expect(try basis(note(chain: "another"), now) == nil)
        #expect(
            ExportBasis(try note(), image: now, chain: "chain", size: ByteCount(6 << 20)) == nil)
        let coarse = FileStamp(
            inode: now.inode, size: now.size, modified: now.modified, changed: 5_000_000_000)
        #expect(
            try basis(note { $0.image = coarse }, coarse)
                == .unknown("its file system doesn't keep exact times"))
        #expect(try basis(note(session: nil), now) == .unknown("writing it was cut short"))
        #expect(try basis(note { $0.image = nil }, now) == .unknown("writing it was cut short"))
    }

    @Test("A change of the image or of its place is seen, also one that puts its time back")
    func changed() throws {
        let old = try note()
        usleep(20_000)
        try TemporaryDirectory.patch(image, at: 1, [9])
        let time = timespec(
            tv_sec: Int(old.image?.modified ?? 0) / 1_000_000_000,
            tv_nsec: Int(old.image?.modified ?? 0) % 1_000_000_000)
        var times = [time, time]
        #expect(unsafe utimensat(AT_FDCWD, image.string, &times, 0) == 0)
        let now = try stamp()
        #expect(now.modified == old.image?.modified)
        #expect(basis(old, now) == .unknown("it was changed or copied since"))
    }

    @Test("A note is what was written, and one of another form or of none is no note")
    func notes() throws {
        let note = try note()
        try note.write(beside: image)
        let read = try #require(ExportNote.read(beside: image))
        #expect(
            read.session == note.session && read.image == note.image && read.chain == note.chain)
        for text in ["", "{}", "[1]", "{\"version\": 2, \"chain\": \"chain\", \"size\": 5242880}"] {
            try Files.replace(ExportNote.path(beside: image), with: Array(text.utf8))
            #expect(ExportNote.read(beside: image) == nil, "\(text)")
        }
    }

    private func device(seed: UInt64) throws -> (path: FilePath, bytes: [UInt8]) {
        var generator = SeededGenerator(seed: seed)
        var bytes = [UInt8](repeating: 0, count: Int(size.bytes))
        // Zeros between, and at an end that is no whole piece.
        for start in [0, 70_000, 1 << 20, (3 << 20) + 5] {
            bytes.replaceSubrange(start..<start + 9000, with: generator.bytes(9000))
        }
        return (try directory.file("device-\(seed)", bytes), bytes)
    }

    @Test("What is different is written, and nothing else; zeros in a new file are holes")
    func writing() throws {
        let device = try device(seed: 1)
        let writer = ImageWriter(ranges: [0..<size.bytes], control: RestoreControl())
        let made = try OwnedDescriptor.create(image)
        try made.resize(to: size)
        let source = try OwnedDescriptor.open(device.path, .readOnly)
        let written = try writer.bring(made, to: source)
        #expect(try TemporaryDirectory.contents(image) == device.bytes)
        #expect(written >= 36_000 && written <= 8 * (64 << 10))
        #expect(try writer.difference(of: made, from: source) == nil)
        #expect(try writer.bring(made, to: source) == 0)
        // A change in the ranges is written, and one outside is none of theirs.
        try TemporaryDirectory.patch(image, at: 70_001, [1, 2, 3])
        try TemporaryDirectory.patch(image, at: 4 << 20, [1, 2, 3])
        #expect(try writer.difference(of: made, from: source) == 0)
        let part = ImageWriter(ranges: [65_536..<131_072], control: RestoreControl())
        #expect(try part.bring(made, to: source) == 64 << 10)
        #expect(try part.difference(of: made, from: source) == nil)
        #expect(try writer.difference(of: made, from: source) == 4 << 20)
    }

    @Test(
        "A device that ends before its size is an error, not an image with zeros; a stop is one, too"
    )
    func failing() throws {
        let device = try directory.file("device", [UInt8](repeating: 7, count: 100_000))
        let made = try OwnedDescriptor.create(image)
        try made.resize(to: size)
        let source = try OwnedDescriptor.open(device, .readOnly)
        let writer = ImageWriter(ranges: [0..<size.bytes], control: RestoreControl())
        #expect(throws: SystemError.self) { try writer.bring(made, to: source) }
        let stopped = ImageWriter(
            ranges: [0..<size.bytes], control: RestoreControl(isCancelled: { true }))
        #expect(throws: CancellationError.self) { try stopped.bring(made, to: source) }
    }

    @Test(
        "Each cell of a map has what was changed in it, to the device's last byte",
        arguments: [
            (100, 1, [(0, 100)], [100]), (8192, 8, [(0, 4096)], [4096, 0]),
            (16384, 4, [(4096, 8192)], [0, 4096, 4096, 0]),
            (10_000, 2, [(8191, 1), (9999, 1)], [1, 1]),
            (0, 4, [], []),
            (
                1 << 54, 4, [(0, 1 << 54)],
                [1 << 52, 1 << 52, 1 << 52, 1 << 52]
            ),
        ] as [(UInt64, Int, [(UInt64, UInt64)], [UInt64])])
    func map(size: UInt64, cells: Int, ranges: [(UInt64, UInt64)], changed: [UInt64]) {
        let changes = DeviceChanges(
            device: "d", sizeBytes: size, chunkSize: 4096,
            ranges: ranges.map { DeviceChanges.Range(offset: $0.0, length: $0.1) })
        let map = ChangeMap(changes, cells: cells)
        #expect(map.changed == changed)
        #expect(map.changed.count <= cells)
        for cell in changed.indices { #expect((map.shade(cell) == 0) == (changed[cell] == 0)) }
    }

    @Test("The shade goes by quarters")
    func shades() {
        for (length, shade) in [
            (0, 0), (1, 1), (1024, 1), (1025, 2), (2048, 2), (3072, 3), (3073, 4), (4096, 4),
        ] as [(UInt64, Int)] {
            let changes = DeviceChanges(
                device: "d", sizeBytes: 4096 * 3, chunkSize: 512,
                ranges: length == 0 ? [] : [DeviceChanges.Range(offset: 4096, length: length)])
            #expect(ChangeMap(changes, cells: 3).shade(1) == shade, "\(length)")
        }
    }
}

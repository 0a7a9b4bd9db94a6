import StoreTesting
import SystemPackage

/// A snapshot as the kernel has it in memory, and its store in a file.
///
/// The format is that of drivers/md/dm-snap-persistent.c. Once loaded, the kernel believes its
/// memory and never looks at the file again.
final class SimulatedStore {
    let chunkBytes: Int
    let file: FileDescriptor
    var image: StoreImage
    var captured: Set<Int> = []
    var nextFree = 2
    var committed = 0
    private(set) var isValid = true
    /// Whether it keeps what it has when it is full; then nothing more can be written.
    let outlastsOverflow: Bool
    private(set) var isFull = false
    /// Of a store that is merged: an I/O error has stopped it.
    var hasMergeFailed = false

    /// Reads the store, and makes a fresh one usable: its header is written as the table is loaded.
    init(_ file: FileDescriptor, chunkBytes: Int, outlastsOverflow: Bool = false) throws {
        self.file = file
        self.outlastsOverflow = outlastsOverflow
        self.chunkBytes = chunkBytes
        let bytes = try allBytes(of: file)
        guard bytes.count >= 2 * chunkBytes else { throw Errno.invalidArgument }
        let chunks = bytes.count / chunkBytes
        image = StoreImage(
            chunkBytes: chunkBytes, chunks: chunks,
            filling: Array(bytes.prefix(chunks * chunkBytes)))
        if image.bytes[0..<4].allSatisfy({ $0 == 0 }) {
            image.writeHeader()
            image.zero(chunkAt: chunkBytes)
            try flush(0..<2 * chunkBytes)
        } else {
            load()
        }
    }

    /// A store in the state of another one, in this file of the same contents.
    init(_ other: SimulatedStore, file: FileDescriptor) {
        self.file = file
        chunkBytes = other.chunkBytes
        image = other.image
        captured = other.captured
        nextFree = other.nextFree
        committed = other.committed
        isValid = other.isValid
        outlastsOverflow = other.outlastsOverflow
        isFull = other.isFull
        hasMergeFailed = other.hasMergeFailed
    }

    private func load() {
        isValid = image.bytes[4..<8].contains { $0 != 0 }
        while true {
            let offset = image.entryOffset(committed)
            guard offset + 16 <= image.bytes.count else { return }
            let old = number(at: offset)
            let new = number(at: offset + 8)
            if new == 0 { return }
            captured.insert(old)
            committed += 1
            nextFree = max(nextFree, new + 1)
            if (nextFree - 1).isMultiple(of: image.perArea + 1) { nextFree += 1 }
        }
    }

    func number(at offset: Int) -> Int {
        image.bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    func flush(_ range: Range<Int>) throws {
        try file.writeAll(toAbsoluteOffset: Int64(range.lowerBound), image.bytes[range])
    }

    /// Keeps a chunk of the origin, `contents`, before it is overwritten for the first time.
    func capture(_ chunk: Int, _ contents: () throws -> [UInt8]) throws {
        guard isValid, !captured.contains(chunk) else { return }
        let new = nextFree
        guard (new + 1) * chunkBytes <= image.bytes.count else { return try overflow() }
        captured.insert(chunk)
        nextFree += 1
        if (nextFree - 1).isMultiple(of: image.perArea + 1) { nextFree += 1 }
        image.setChunk(new, try contents())
        try flush(new * chunkBytes..<(new + 1) * chunkBytes)
        if (committed + 1).isMultiple(of: image.perArea) {
            let area = image.areaOffset((committed + 1) / image.perArea)
            guard area + chunkBytes <= image.bytes.count else { return try overflow() }
            image.zero(chunkAt: area)
            try flush(area..<area + chunkBytes)
        }
        image.setEntry(committed, old: UInt64(chunk), new: UInt64(new))
        let entry = image.entryOffset(committed)
        try flush(entry..<entry + 16)
        committed += 1
    }

    private func overflow() throws {
        if outlastsOverflow { isFull = true } else { try invalidate() }
    }

    /// Out of room, or the store failed.
    ///
    /// - Parameter isWritten: false where even the header can't be written any more.
    func invalidate(isWritten: Bool = true) throws {
        isValid = false
        guard isWritten else { return }
        image.writeHeader(valid: 0)
        try flush(0..<16)
    }

    /// As snapshot_status prints it.
    var status: String {
        guard isValid else { return "Invalid" }
        if hasMergeFailed { return "Merge failed" }
        if isFull { return "Overflow" }
        let sectors = chunkBytes / 512
        let areas = committed / image.perArea + 1
        return "\(nextFree * sectors)/\(image.bytes.count / 512) \((areas + 1) * sectors)"
    }
}

/// Everything in a file.
func allBytes(of file: FileDescriptor) throws -> [UInt8] {
    let size = Int(try file.seek(offset: 0, from: .end))
    var bytes = [UInt8](repeating: 0, count: size)
    _ = try unsafe bytes.withUnsafeMutableBytes { buffer in
        try unsafe file.read(fromAbsoluteOffset: 0, into: buffer)
    }
    return bytes
}

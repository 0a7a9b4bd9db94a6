import DeviceMapper
import StoreTesting
import SystemPackage

/// `snapshot-merge`, with the rules of drivers/md/dm-snap.c and dm-snap-persistent.c: from the last
/// exception on backwards a chunk is copied to the origin, when every other snapshot has kept what it
/// overwrites, and then its entry is zeroed.
extension SimulatedKernel {
    /// The store that is being merged into a device.
    func merging(_ device: Mapped) -> SimulatedStore? {
        device.live?.type == SnapshotMergeTarget.type ? device.store : nil
    }

    /// The store that has what was written to a device in its place; of a snapshot that nobody writes to, what
    /// it captured.
    func overlay(_ device: Mapped) -> SimulatedStore? {
        device.live?.type == SnapshotTarget.type ? device.store : nil
    }

    /// What the kernel's own threads do between two calls.
    func mergeOn() {
        guard mapped.values.contains(where: { merging($0) != nil }) else { return }
        Steps.elsewhere {
            for _ in 0..<mergeSpeed {
                for device in mapped.values where !device.isSuspended { try? mergeChunk(device) }
            }
        }
    }

    private func mergeChunk(_ device: Mapped) throws {
        guard let store = merging(device), !store.hasMergeFailed, let last = store.last,
            let number = source(of: device.live)
        else { return }
        let file = try backing(of: number, "").0
        let old = try allBytes(of: file)
        let start = last.old * store.chunkBytes
        let range = start..<min(start + store.chunkBytes, wholeSectors(old))
        for (_, other) in snapshots(of: number) {
            for part in chunks(of: range, other.chunkBytes) {
                let chunk = part.lowerBound / other.chunkBytes
                try other.capture(chunk) {
                    let whole = chunk * other.chunkBytes..<(chunk + 1) * other.chunkBytes
                    return Array(old[whole.clamped(to: 0..<old.count)])
                }
            }
        }
        try file.writeAll(
            toAbsoluteOffset: Int64(start), store.chunk(last.new).prefix(range.count))
        // The kernel flushes the origin before it forgets what is back there.
        flush(number)
        try store.removeLast()
    }

    /// A range cut at the borders of chunks.
    func chunks(of range: Range<Int>, _ chunkBytes: Int) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min((start / chunkBytes + 1) * chunkBytes, range.upperBound)
            parts.append(start..<end)
            start = end
        }
        return parts
    }

    /// A device's end: what of an image makes no sector is behind it.
    private func wholeSectors(_ bytes: [UInt8]) -> Int { bytes.count / 512 * 512 }

    /// What a reader of an origin gets.
    package func contents(ofMapped name: String) throws -> [UInt8] {
        try Steps.elsewhere {
            guard let device = mapped[name], let number = source(of: device.live) else {
                throw Errno.noSuchFileOrDirectory
            }
            var bytes = try allBytes(of: backing(of: number, "").0)
            guard let store = merging(device) ?? overlay(device) else { return bytes }
            for entry in store.entries {
                let start = entry.old * store.chunkBytes
                let range = start..<min(start + store.chunkBytes, wholeSectors(bytes))
                bytes.replaceSubrange(range, with: store.chunk(entry.new).prefix(range.count))
            }
            return bytes
        }
    }

    /// An I/O error stops a merge, as when its store can't be written.
    package func failMerge(_ name: String) {
        mapped[name]?.store?.hasMergeFailed = true
    }
}

extension SimulatedStore {
    /// The exceptions in their order on disk.
    var entries: [(old: Int, new: Int)] {
        (0..<committed).map(entry)
    }

    /// The one that is merged next.
    var last: (old: Int, new: Int)? { committed == 0 ? nil : entry(committed - 1) }

    private func entry(_ index: Int) -> (old: Int, new: Int) {
        let offset = image.entryOffset(index)
        return (number(at: offset), number(at: offset + 8))
    }

    /// A stored chunk's contents.
    func chunk(_ new: Int) -> ArraySlice<UInt8> {
        image.bytes[new * chunkBytes..<(new + 1) * chunkBytes]
    }

    /// Zeroes the last entry; what is free next is computed from what is left (commit_merge).
    func removeLast() throws {
        guard let last else { return }
        captured.remove(last.old)
        committed -= 1
        image.setEntry(committed, old: 0, new: 0)
        let entry = image.entryOffset(committed)
        try flush(entry..<entry + 16)
        nextFree =
            image.areaOffset(committed / image.perArea) / chunkBytes + 1
            + committed % image.perArea
    }

    /// Writes inside one chunk of the origin to where it is kept.
    ///
    /// - Returns: false if it isn't.
    func write(_ bytes: [UInt8], at offset: Int) throws -> Bool {
        guard let entry = entries.first(where: { $0.old == offset / chunkBytes }) else {
            return false
        }
        let start = entry.new * chunkBytes + offset % chunkBytes
        image.bytes.replaceSubrange(start..<start + bytes.count, with: bytes)
        try flush(start..<start + bytes.count)
        return true
    }
}

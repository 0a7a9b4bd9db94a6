import Block
import DeviceMapper
import ExceptionStore
import Restore

/// An exception store that is put together, as a device, of an index and of the stores that it names.
struct ComposedStore {
    /// What it has.
    let union: UnionSource
    /// Where in it that is.
    let index: StoreIndex
    /// The index's file, and the union's sources, each as a device; there as long as this value is, or a
    /// table has them.
    let file: TemporaryLoop
    let parts: [TemporaryLoop]
    /// The first part's file, where this process decompresses it.
    let served: ServedFile?

    /// The device's table, and the smallest of the sources' chunk sizes.
    var past: (table: [Target], chunk: ChunkSize) {
        (
            Self.table(union, index, file: file.number, parts: parts.map(\.number)),
            union.chunkSize
        )
    }

    static func table(
        _ union: UnionSource, _ index: StoreIndex, file: DeviceNumber, parts: [DeviceNumber]
    ) -> [Target] {
        var table: [Target] = []
        var end: UInt64 = 0
        func add(_ device: DeviceNumber, length: UInt64) {
            guard length > 0 else { return }
            table.append(
                .linear(
                    at: SectorCount(end / SectorCount.size),
                    length: SectorCount(length / SectorCount.size), of: device))
            end += length
        }
        add(file, length: index.head.bytes)
        for (part, space) in zip(parts, union.spaces) where space.lowerBound < index.kept.bytes {
            // Between two is what no entry names; the header's chunk will do.
            add(file, length: index.head.bytes + space.lowerBound - end)
            add(part, length: min(space.upperBound, index.kept.bytes) - space.lowerBound)
        }
        return table
    }

    /// Holds a device that shows the union against the union itself, at its ends and in between.
    ///
    /// - Throws: `internalFault` where it shows something else.
    func prove(_ device: borrowing OwnedDescriptor) throws {
        let entries = union.exceptions.entries
        let chunk = union.chunkSize.bytes.bytes
        var numbers = Array(stride(from: 0, to: entries.count, by: max(1, entries.count / 16)))
        if let last = entries.indices.last { numbers.append(last) }
        for number in numbers {
            let offset = entries[number].originChunk * chunk
            let length = Int(min(chunk, union.originSize.bytes - offset))
            var kept = [UInt8](repeating: 0, count: length)
            var span = kept.mutableSpan
            try union.read(into: &span, at: entries[number].storedChunk * chunk)
            guard try device.read(count: length, at: offset) == kept else {
                throw SessionsError.internalFault(
                    "the view shows something else at byte \(offset) than what was kept of it")
            }
        }
    }
}

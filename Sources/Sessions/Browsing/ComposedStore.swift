import Block
import DeviceMapper
import ExceptionStore
import Restore

/// An exception store that is put together, as a device, of an index and of the stores that it names.
struct ComposedStore {
    let index: StoreIndex
    private let union: UnionSource

    /// The smallest of the union's sources'.
    var chunkSize: ChunkSize { union.chunkSize }

    init(_ union: UnionSource) throws(ExceptionStoreError) {
        self.union = union
        index = try StoreIndex(union.exceptions)
    }

    /// The device's table.
    ///
    /// - Parameters:
    ///   - number: the index's file, as a device.
    ///   - parts: the union's sources, each as a device.
    func table(index number: DeviceNumber, parts: [DeviceNumber]) -> [Target] {
        var table: [Target] = []
        var end: UInt64 = 0
        func add(_ device: DeviceNumber, from offset: UInt64, length: UInt64) {
            guard length > 0 else { return }
            table.append(
                .linear(
                    at: SectorCount(end / SectorCount.size),
                    length: SectorCount(length / SectorCount.size), of: device,
                    from: SectorCount(offset / SectorCount.size)))
            end += length
        }
        add(number, from: 0, length: index.head.bytes)
        for (part, space) in zip(parts, union.spaces) where space.lowerBound < index.kept.bytes {
            // Between two is what no entry names; the header's chunk will do.
            add(number, from: 0, length: index.head.bytes + space.lowerBound - end)
            add(
                part, from: 0,
                length: min(space.upperBound, index.kept.bytes) - space.lowerBound)
        }
        return table
    }

    /// Holds a device that shows the union against the union itself, at its ends and in between.
    ///
    /// - Throws: `internalFault` where it shows something else.
    func prove(_ device: borrowing OwnedDescriptor) throws {
        let entries = union.exceptions.entries
        let chunk = union.chunkSize.bytes.bytes
        var numbers = Array(stride(from: 0, to: entries.count, by: max(1, entries.count / 64)))
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

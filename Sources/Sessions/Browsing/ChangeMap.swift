/// A device as a row of cells, and how much of each was changed.
public struct ChangeMap: Sendable {
    /// What a cell stands for, in bytes; the last one may be short.
    public let cellBytes: UInt64
    /// Of each cell, how many of its bytes were changed.
    public let changed: [UInt64]
    /// The device's size in bytes.
    public let size: UInt64

    /// - Parameter cells: how many there are at most.
    public init(_ changes: DeviceChanges, cells: Int) {
        size = changes.sizeBytes
        let most = UInt64(max(cells, 1))
        // Whole pages: a cell never shares a sector with the next.
        let pages = size / 4096 + (size % 4096 == 0 ? 0 : 1)
        cellBytes = max(1, pages / most + (pages % most == 0 ? 0 : 1)) * 4096
        var changed = [UInt64](repeating: 0, count: Int((size + (cellBytes - 1)) / cellBytes))
        for range in changes.ranges {
            var offset = range.offset
            let end = range.offset + range.length
            while offset < end {
                let cell = Int(offset / cellBytes)
                let next = min(end, (UInt64(cell) + 1) * cellBytes)
                changed[cell] += next - offset
                offset = next
            }
        }
        self.changed = changed
    }

    /// Of a cell, 0 where nothing of it was changed, 1 where a quarter or less was, up to 4.
    public func shade(_ cell: Int) -> Int {
        let length = min(cellBytes, size - UInt64(cell) * cellBytes)
        if changed[cell] == 0 { return 0 }
        return min(4, 1 + Int((changed[cell] * 4 - 1) / length))
    }
}

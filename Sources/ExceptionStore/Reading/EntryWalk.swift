internal import Block

/// A walk through a store's entries in their order on disk, in memory that doesn't grow.
struct EntryWalk {
    let rules: EntryRules
    /// Whether an area in a hole is refused.
    let believesHoles: Bool
    /// How many entries count, if not all: what is behind them may be changing.
    let limit: UInt64?

    /// Where the list ended.
    struct End: Hashable {
        var count: UInt64 = 0
        /// The number of the area with the entry that ends the list.
        var area: UInt64 = 0
        var highestStoredChunk: UInt64 = 0
        /// Whether anything but zeros follows in that area.
        var hasStaleTail = false
    }

    /// Visits every entry, each of them checked, until an area isn't full.
    ///
    /// The walk ends: every area has to be inside the store, and there are no more entries than
    /// the origin has chunks. An area that is a hole would read as the end of the list.
    func run(
        _ store: borrowing OwnedDescriptor,
        visit: (ExceptionEntry) throws(ExceptionStoreError) -> Void
    ) throws(ExceptionStoreError) -> End {
        let chunkBytes = rules.layout.chunkSize.bytes.bytes
        // An area is as large as a chunk, up to 1 GiB. Both sizes are powers of two.
        var window = [UInt8](repeating: 0, count: Int(min(chunkBytes, 1 << 20)))
        var end = End()
        var parts = try WrittenParts(of: store, believingHoles: believesHoles)
        while true {
            let area = try offset(ofArea: end.area)
            if let hole = try parts.hole(in: area..<area + chunkBytes) {
                throw .hole(at: hole, in: .area(end.area))
            }
            var ended = false
            for start in stride(from: area, to: area + chunkBytes, by: window.count) {
                var buffer = window.mutableSpan
                try store.fill(&buffer, at: start)
                try scan(window.span, &end, &ended, visit: visit)
                if end.hasStaleTail { return end }
            }
            if ended { return end }
            end.area += 1
        }
    }

    private func offset(ofArea number: UInt64) throws(ExceptionStoreError) -> UInt64 {
        guard let chunk = rules.layout.chunk(ofArea: number), chunk < rules.storeChunks,
            let offset = rules.layout.chunkSize.offset(of: chunk)
        else {
            throw .areaPastEnd(area: number, storeChunks: rules.storeChunks)
        }
        return offset
    }

    private func scan(
        _ window: Span<UInt8>, _ end: inout End, _ ended: inout Bool,
        visit: (ExceptionEntry) throws(ExceptionStoreError) -> Void
    ) throws(ExceptionStoreError) {
        var offset = 0
        while !ended, let entry = ExceptionEntry(reading: window, at: offset) {
            if entry.endsList || end.count == limit {
                ended = true
                continue
            }
            if let fault = rules.fault(in: entry) {
                throw .entry(entry, number: end.count, fault)
            }
            guard end.count < rules.originChunks else {
                throw .tooManyExceptions(limit: rules.originChunks)
            }
            try visit(entry)
            end.count += 1
            end.highestStoredChunk = max(end.highestStoredChunk, entry.storedChunk)
            offset += ExceptionEntry.size
        }
        // What lies behind the end is never read as exceptions, but it comes back to life when the
        // kernel fills the gap before it.
        end.hasStaleTail = ended && end.count != limit && !window.isZero(from: offset)
    }
}

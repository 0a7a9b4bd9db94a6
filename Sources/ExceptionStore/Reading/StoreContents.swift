public import Block

/// What a closed store holds, read and checked.
public struct StoreContents: Sendable {
    /// Whether the kernel never loaded the store: its chunk 0 is empty.
    public let isFresh: Bool
    /// Whether what `StorePreparation` writes was written, or more.
    ///
    /// It was to every store that a table was ever loaded on. A fresh store that it was not written
    /// to is one that was being made, or one that somebody has emptied.
    public let wasPrepared: Bool
    /// The exceptions.
    public let exceptions: ExceptionTable
    /// The chunk that the kernel would hand out next.
    public let nextFreeChunk: UInt64
    /// Whether there is rubbish behind the end of the list, in the area where it ends.
    ///
    /// It restores nothing, and is no damage (an area's write that a power cut tore leaves it, and
    /// then no write was let through), but the kernel would revive it: see
    /// `StorePreparation.clearStaleTail`.
    public let hasStaleTail: Bool
    /// The bytes of the store behind the last entry, to the end of that entry's area.
    let tail: Range<UInt64>
}

extension StoreContents {
    /// Reads a store that no table uses any more.
    ///
    /// A store that passes may still have missed writes: where its device failed while the kernel
    /// gave it up, the header goes on saying that it is valid. Only a record kept elsewhere tells.
    ///
    /// - Parameters:
    ///   - store: The store, a file or a device; read only.
    ///   - originSize: The origin's size in bytes.
    ///   - chunkSize: What the store was made with, if that is known. It is what tells a damaged
    ///     chunk size in the header from a good one.
    ///   - count: Only the first so many exceptions, of a store that a table uses: those that the kernel
    ///     had committed when it said so. The store may have fewer.
    /// - Returns: What the store holds; all of its metadata was checked, none of its data read. If
    ///   the store is a file, all of that data was once written: `hole` otherwise.
    /// - Throws: `system` where reading failed, otherwise what is wrong with the store.
    public static func read(
        _ store: borrowing OwnedDescriptor, originSize: ByteCount, expecting chunkSize: ChunkSize?,
        first count: UInt64? = nil
    ) throws(ExceptionStoreError) -> StoreContents {
        try read(
            store, originSize: originSize, expecting: chunkSize, first: count, believingHoles: true)
    }

    /// - Parameter believingHoles: Else all of the store counts as written.
    static func read(
        _ store: borrowing OwnedDescriptor, originSize: ByteCount, expecting chunkSize: ChunkSize?,
        first count: UInt64? = nil, believingHoles: Bool
    ) throws(ExceptionStoreError) -> StoreContents {
        let size = try size(of: store)
        var sector = [UInt8](repeating: 0, count: Int(SectorCount.size))
        var buffer = sector.mutableSpan
        try store.fill(&buffer, at: 0)
        guard let header = try StoreHeader.read(from: sector.span) else {
            guard sector.allSatisfy({ $0 == 0 }) else { throw .freshHeaderOverData }
            return try fresh(
                store, size: size, originSize: originSize, chunkSize: chunkSize)
        }
        if let chunkSize, chunkSize != header.chunkSize {
            throw .chunkSizeDiffers(found: header.chunkSize, expected: chunkSize)
        }
        return try used(
            store, size: size, originSize: originSize, chunkSize: header.chunkSize, first: count,
            believingHoles: believingHoles)
    }

    private static func size(
        of store: borrowing OwnedDescriptor
    ) throws(ExceptionStoreError) -> ByteCount {
        do {
            return try store.size()
        } catch {
            throw .system(error)
        }
    }

    /// The contents of a store with an empty header.
    ///
    /// The kernel puts the header on stable storage before the first exception. So entries behind
    /// an empty header mean that the header was lost, not that there is nothing to restore. They
    /// can be looked for only where the chunk size, and with it the area's place, is known. A crash
    /// while the store was being made leaves holes, which are no damage.
    private static func fresh(
        _ store: borrowing OwnedDescriptor, size: ByteCount, originSize: ByteCount,
        chunkSize: ChunkSize?
    ) throws(ExceptionStoreError) -> StoreContents {
        if let chunkSize {
            let end: EntryWalk.End
            do {
                end = try walk(
                    size: size, originSize: originSize, chunkSize: chunkSize,
                    believingHoles: false
                ).run(store) { _ throws(ExceptionStoreError) in throw .freshHeaderOverData }
            } catch .entry {
                throw .freshHeaderOverData
            }
            guard !end.hasStaleTail else { throw .freshHeaderOverData }
        }
        let written = chunkSize.map { 2 * $0.bytes.bytes } ?? SectorCount.size
        var parts = try WrittenParts(of: store, believingHoles: true)
        return try StoreContents(
            isFresh: true, wasPrepared: parts.hole(in: 0..<min(written, size.bytes)) == nil,
            entries: [], end: EntryWalk.End(), size: size, originSize: originSize,
            chunkSize: chunkSize ?? .kernelDefault)
    }

    /// The contents of a store with a good header.
    private static func used(
        _ store: borrowing OwnedDescriptor, size: ByteCount, originSize: ByteCount,
        chunkSize: ChunkSize, first count: UInt64?, believingHoles: Bool
    ) throws(ExceptionStoreError) -> StoreContents {
        let walk = walk(
            size: size, originSize: originSize, chunkSize: chunkSize,
            believingHoles: believingHoles, first: count)
        var (entries, end) = try collect(walk, store)
        try refuseSharedChunks(&entries)
        var parts = try WrittenParts(of: store, believingHoles: believingHoles)
        try refuseHoles(under: entries, &parts, originSize: originSize, chunkSize: chunkSize)
        return try StoreContents(
            isFresh: false, wasPrepared: true, entries: consume entries, end: end, size: size,
            originSize: originSize, chunkSize: chunkSize)
    }

    /// Reads the entries twice.
    ///
    /// The first walk checks and counts, so that rubbish is refused before any memory is taken,
    /// and then exactly as much is taken as there are entries.
    private static func collect(
        _ walk: EntryWalk, _ store: borrowing OwnedDescriptor
    ) throws(ExceptionStoreError) -> ([ExceptionEntry], EntryWalk.End) {
        let end = try walk.run(store) { _ throws(ExceptionStoreError) in }
        var entries: [ExceptionEntry] = []
        entries.reserveCapacity(Int(end.count))
        let again = try walk.run(store) { entry throws(ExceptionStoreError) in
            guard UInt64(entries.count) < end.count else { throw .changedWhileReading }
            entries.append(entry)
        }
        guard again == end else { throw .changedWhileReading }
        return (entries, end)
    }

    private static func walk(
        size: ByteCount, originSize: ByteCount, chunkSize: ChunkSize, believingHoles: Bool,
        first count: UInt64? = nil
    ) -> EntryWalk {
        EntryWalk(
            rules: EntryRules(
                layout: AreaLayout(chunkSize: chunkSize),
                originChunks: chunkSize.chunks(covering: originSize),
                storeChunks: chunkSize.wholeChunks(in: size)),
            believesHoles: believingHoles, limit: count)
    }

    /// Sorts by the new chunk: cheap, since the kernel hands them out upwards.
    private static func refuseSharedChunks(
        _ entries: inout [ExceptionEntry]
    ) throws(ExceptionStoreError) {
        entries.sort { $0.storedChunk < $1.storedChunk }
        for index in entries.indices.dropFirst()
        where entries[index].storedChunk == entries[index - 1].storedChunk {
            throw .duplicateStoredChunk(entries[index].storedChunk)
        }
    }

    /// - Parameter entries: In ascending order of the new chunk.
    private static func refuseHoles(
        under entries: [ExceptionEntry], _ parts: inout WrittenParts, originSize: ByteCount,
        chunkSize: ChunkSize
    ) throws(ExceptionStoreError) {
        let shift = UInt64(chunkSize.byteShift)
        for entry in entries {
            let start = entry.storedChunk << shift
            // What is behind the origin's end is not copied.
            let length = min(
                chunkSize.bytes.bytes, originSize.bytes - entry.originChunk << shift)
            if let hole = try parts.hole(in: start..<start + length) {
                throw .hole(at: hole, in: .contents(of: entry))
            }
        }
    }

    private init(
        isFresh: Bool, wasPrepared: Bool, entries: consuming [ExceptionEntry], end: EntryWalk.End,
        size: ByteCount,
        originSize: ByteCount, chunkSize: ChunkSize
    ) throws(ExceptionStoreError) {
        let layout = AreaLayout(chunkSize: chunkSize)
        guard let area = layout.chunk(ofArea: end.area), let start = chunkSize.offset(of: area),
            let next = layout.dataChunk(after: end.highestStoredChunk)
        else { throw .sizeOverflow }
        let inArea = (end.count % chunkSize.exceptionsPerArea) * UInt64(ExceptionEntry.size)
        self.isFresh = isFresh
        self.wasPrepared = wasPrepared
        self.exceptions = try ExceptionTable(
            consume entries, chunkSize: chunkSize, originSize: originSize,
            storedChunks: chunkSize.wholeChunks(in: size))
        self.nextFreeChunk = next
        self.hasStaleTail = end.hasStaleTail
        self.tail = start + inArea..<start + chunkSize.bytes.bytes
    }
}

internal import Block
internal import ExceptionStore

/// Something that a source could not give.
struct ReadFailure: Sendable {
    let extent: RestoreExtent
    let cause: ChunkReadError
}

/// Where a piece is in its source, so that a batch can be read in the sources' order.
struct ReadOrder: Comparable, Sendable {
    let storedOffset: UInt64
    let source: UInt32
    let piece: UInt32

    static func < (left: ReadOrder, right: ReadOrder) -> Bool {
        (left.source, left.storedOffset, left.piece)
            < (right.source, right.storedOffset, right.piece)
    }
}

/// Reads batches from their sources: each source from front to back, and what follows each other
/// there and in the buffer at once.
struct SourceReader: Sendable {
    let sources: [any ChunkSource]
    /// Whether sources are told what is read before it is.
    let announces: Bool
    /// Whether many reads may be made with one system call.
    let usesRing: Bool

    /// As few reads as this are made one by one.
    private static let fewReads = 8

    /// A read: some bytes of a source, and where in the buffer they go.
    struct Read {
        var source: Int
        var stored: Range<UInt64>
        var start: Int

        var slot: Range<Int> { start..<start + stored.count }

        func part(_ range: Range<UInt64>) -> Read {
            Read(
                source: source, stored: range,
                start: start + Int(range.lowerBound - stored.lowerBound))
        }
    }

    /// Reads all of a batch but its damaged pieces; leaves checksum and failures in the slot.
    ///
    /// - Parameter locatesDamage: Whether to find out exactly what can't be read. Else it stops at
    ///   the first failure.
    func load(_ slot: BatchSlot, locatesDamage: Bool) {
        slot.failures.removeAll(keepingCapacity: true)
        order(slot)
        if announces {
            forEachRead(slot) { read in
                sources[read.source].prefetch(read.stored)
                return true
            }
        }
        let memory = slot.requireMemory()
        forEachUnread(slot, memory) { read in
            do throws(ChunkReadError) {
                try perform(read, memory)
            } catch {
                guard locatesDamage else {
                    record(read, error, slot)
                    return false
                }
                locate(read, error, slot, memory)
            }
            return true
        }
        if !slot.failures.isEmpty {
            slot.failures.sort { $0.extent.originOffset < $1.extent.originOffset }
            slot.batch.markDamaged(slot.failures.lazy.map(\.extent.range.bytes))
        }
        slot.checksum = slot.computeChecksum()
    }

    private func order(_ slot: BatchSlot) {
        slot.order.removeAll(keepingCapacity: true)
        var isSorted = true
        for (index, piece) in slot.batch.pieces.enumerated() where !piece.isDamaged {
            let entry = ReadOrder(
                storedOffset: piece.extent.storedOffset, source: UInt32(piece.extent.source),
                piece: UInt32(index))
            if isSorted, let last = slot.order.last, entry < last { isSorted = false }
            slot.order.append(entry)
        }
        if !isSorted { slot.order.sort() }
    }

    /// Calls `body` until it returns false.
    private func forEachRead(_ slot: BatchSlot, _ body: (Read) -> Bool) {
        var read: Read?
        for entry in slot.order {
            let piece = slot.batch.pieces[Int(entry.piece)]
            let stored = entry.storedOffset..<entry.storedOffset + piece.extent.length
            if var joined = read, joined.source == piece.extent.source,
                joined.stored.upperBound == stored.lowerBound,
                joined.slot.upperBound == piece.start
            {
                joined.stored = joined.stored.lowerBound..<stored.upperBound
                read = joined
                continue
            }
            if let read, !body(read) { return }
            read = Read(source: piece.extent.source, stored: stored, start: piece.start)
        }
        if let read { _ = body(read) }
    }

    /// Reads at once what can be, then calls `body`, until it returns false, with the reads that are
    /// left: all where there is no ring, and those that failed in it.
    private func forEachUnread(
        _ slot: BatchSlot, _ memory: BatchMemory, _ body: (Read) -> Bool
    ) {
        guard usesRing, slot.order.count > Self.fewReads,
            sources.allSatisfy({ $0.plainDescriptor >= 0 }), let ring = slot.requireRing()
        else { return forEachRead(slot, body) }
        slot.reads.removeAll(keepingCapacity: true)
        forEachRead(slot) { read in
            slot.reads.append(read)
            return true
        }
        var missed: [Int] = []
        ring.perform(slot.reads.count) { number in
            let read = slot.reads[number]
            let request = unsafe Request(
                kind: .read, memory: memory.address(of: read.slot), offset: read.stored.lowerBound,
                tag: number)
            return (request, sources[read.source].plainDescriptor)
        } missed: {
            missed.append($0)
        }
        for number in missed.sorted() where !body(slot.reads[number]) { return }
    }

    private func perform(_ read: Read, _ memory: BatchMemory) throws(ChunkReadError) {
        try memory.fill(read.slot) { span throws(ChunkReadError) in
            try sources[read.source].read(into: &span, at: read.stored.lowerBound)
        }
    }

    /// Finds what of a read is lost and reads the rest.
    private func locate(
        _ read: Read, _ error: ChunkReadError, _ slot: BatchSlot, _ memory: BatchMemory
    ) {
        if case .damaged(let cause) = error, let located = cause as? any LocatedDamage {
            let lost = located.storedBytes.clamped(to: read.stored)
            if !lost.isEmpty {
                record(read.part(lost), error, slot)
                again(read.part(read.stored.lowerBound..<lost.lowerBound), slot, memory)
                again(read.part(lost.upperBound..<read.stored.upperBound), slot, memory)
                return
            }
        }
        let chunk = sources[read.source].chunkSize.bytes.bytes
        var offset = read.stored.lowerBound
        guard (read.stored.upperBound - 1) / chunk > offset / chunk else {
            return record(read, error, slot)
        }
        while offset < read.stored.upperBound {
            let end = min(offset - offset % chunk + chunk, read.stored.upperBound)
            again(read.part(offset..<end), slot, memory)
            offset = end
        }
    }

    private func again(_ read: Read, _ slot: BatchSlot, _ memory: BatchMemory) {
        guard !read.stored.isEmpty else { return }
        do throws(ChunkReadError) {
            try perform(read, memory)
        } catch {
            locate(read, error, slot, memory)
        }
    }

    /// A read's bytes can belong to several places on the origin.
    private func record(_ read: Read, _ cause: ChunkReadError, _ slot: BatchSlot) {
        var place = read.slot.lowerBound
        var index = slot.batch.piece(at: place)
        while place < read.slot.upperBound, index < slot.batch.pieces.count {
            let piece = slot.batch.pieces[index]
            let end = min(piece.slot.upperBound, read.slot.upperBound)
            let extent = piece.extent.part(
                after: UInt64(place - piece.start), length: UInt64(end - place))
            slot.failures.append(ReadFailure(extent: extent, cause: cause))
            place = end
            index += 1
        }
    }
}

internal import Block
internal import ExceptionStore

/// Moves batches through one buffer, one request after another.
///
/// This is the inner loop: batches of extents in, I/O out. It alone decides how requests are
/// issued, so one with many in flight can take its place.
struct SerialTransfer: ~Copyable {
    private let sources: [any ChunkSource]
    var buffer: TransferBuffer

    init(sources: [any ChunkSource], capacity: Int) {
        self.sources = sources
        self.buffer = TransferBuffer(capacity: capacity)
    }

    /// Reads a batch from its sources; returns its checksum.
    mutating func load(_ batch: borrowing Batch) throws(RestoreError.Reason) -> UInt32 {
        for piece in batch.reads {
            let extent = piece.extent
            let source = sources[extent.source]
            do {
                try buffer.fill(piece.slot) { span throws(ChunkReadError) in
                    try source.read(into: &span, at: extent.storedOffset)
                }
            } catch {
                throw .source(
                    SourceName(index: extent.source, path: source.path), extent.range,
                    storedOffset: extent.storedOffset, error)
            }
        }
        return buffer.checksum(length: batch.length)
    }

    /// Writes what was last loaded.
    func store(
        _ batch: borrowing Batch, to target: borrowing OwnedDescriptor
    ) throws(RestoreError.Reason) {
        for write in batch.writes {
            do {
                try buffer.use(write.slot) { span throws(SystemError) in
                    try target.write(span, at: write.range.lowerBound)
                }
            } catch {
                throw .target(ByteRange(write.range), error)
            }
        }
    }

    /// Reads a batch's ranges back from the target; returns the checksum of what is there.
    mutating func readBack(
        _ batch: borrowing Batch, from target: borrowing OwnedDescriptor
    ) throws(RestoreError.Reason) -> UInt32 {
        for write in batch.writes {
            var got = 0
            do {
                try buffer.fill(write.slot) { span throws(SystemError) in
                    got = try target.read(into: &span, at: write.range.lowerBound)
                }
            } catch {
                throw .target(ByteRange(write.range), error)
            }
            guard got == write.slot.count else { throw .targetEnded(ByteRange(write.range)) }
        }
        return buffer.checksum(length: batch.length)
    }
}

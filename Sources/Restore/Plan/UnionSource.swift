internal import Block
public import ExceptionStore
public import SystemPackage

/// The sources of a plan as one source: of a chunk that several have, the oldest contents.
///
/// Its chunks are as large as the smallest of the sources' are. Its space of stored chunks is theirs, one
/// behind the other, with a chunk that nobody has before each, so that no read goes from one into the
/// next, and whoever finds the space as a device doesn't find a file system at its beginning.
public final class UnionSource: ChunkSource {
    /// Every chunk that any of the sources has.
    public let exceptions: ExceptionTable
    /// The oldest first.
    public let sources: [any ChunkSource]
    /// Where each source's space is in this one's, in bytes; ascending, with something between any two.
    public let spaces: [Range<UInt64>]

    /// Reads nothing but the tables in memory; takes 24 bytes for each of the plan's extents.
    ///
    /// - Throws: `sizeOverflow`.
    public init(_ plan: RestorePlan) throws(ExceptionStoreError) {
        let chunkSize = plan.sources.map(\.chunkSize).min() ?? .kernelDefault
        let chunk = chunkSize.bytes.bytes
        var spaces: [Range<UInt64>] = []
        var end = chunk
        for source in plan.sources {
            let (next, overflow) = end.addingReportingOverflow(source.exceptions.storedEnd)
            let (behind, more) = next.addingReportingOverflow(chunk)
            guard !overflow, !more else { throw .sizeOverflow }
            spaces.append(end..<next)
            end = behind
        }
        // Every border between extents is one of some source's chunks, and so of the smallest.
        let shift = UInt64(chunkSize.byteShift)
        let runs = plan.extents.map { extent in
            ExceptionRun(
                originChunk: extent.originOffset >> shift,
                storedChunk: (spaces[extent.source].lowerBound + extent.storedOffset) >> shift,
                count: (extent.length + (chunk - 1)) >> shift)
        }
        exceptions = try ExceptionTable(
            runs: runs, chunkSize: chunkSize, originSize: plan.originSize,
            storedChunks: end >> shift)
        sources = plan.sources
        self.spaces = spaces
    }

    /// The oldest source's file.
    public var path: FilePath { sources[0].path }

    /// All sources'.
    public var descriptors: [Int32] { sources.flatMap(\.descriptors) }

    /// Reads from the one source that has these bytes.
    ///
    /// - Throws: that source's error; where data is damaged, with the source's path.
    public func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        let index = source(at: storedOffset)
        do {
            try sources[index].read(into: &buffer, at: storedOffset - spaces[index].lowerBound)
        } catch {
            guard case .damaged(let cause) = error else { throw error }
            // A damage that says where it is says so in its own source's space.
            throw .damaged(PartDamage(path: sources[index].path, cause: cause))
        }
    }

    /// Passes the wish on to the source that has these bytes.
    public func prefetch(_ stored: Range<UInt64>) {
        let index = source(at: stored.lowerBound)
        let start = spaces[index].lowerBound
        guard stored.upperBound > start else { return }
        sources[index].prefetch(stored.lowerBound - start..<stored.upperBound - start)
    }

    /// Fills the buffer with the bytes from `storedOffset` on, whatever is there: zeros where no source is.
    ///
    /// - Throws: as `read`.
    public func readAnything(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        for index in buffer.indices { buffer[index] = 0 }
        let wanted = storedOffset..<storedOffset + UInt64(buffer.count)
        for space in spaces where space.overlaps(wanted) {
            let part = space.clamped(to: wanted)
            let start = Int(part.lowerBound - storedOffset)
            var span = buffer._mutatingExtracting(start..<start + part.count)
            try read(into: &span, at: part.lowerBound)
        }
    }

    private func source(at storedOffset: UInt64) -> Int {
        max(0, (spaces.firstIndex { $0.lowerBound > storedOffset } ?? spaces.count) - 1)
    }
}

/// Damage in one of the sources of a union.
public struct PartDamage: Error, CustomStringConvertible {
    /// The source's file.
    public let path: FilePath
    /// What is wrong with it, in its own words.
    public let cause: any Error

    /// Which source, and what.
    public var description: String { "\(path): \(cause)" }
}

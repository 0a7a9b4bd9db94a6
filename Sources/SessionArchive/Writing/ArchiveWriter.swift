internal import Block
public import ExceptionStore
public import SystemPackage

/// Writes archives.
public enum ArchiveWriter {
    /// Writes an archive of everything that the source has.
    ///
    /// What is written depends on the source, the metadata and the block size alone. Memory is
    /// what the options say and the compressed index: one to two bytes an exception.
    ///
    /// - Parameters:
    ///   - source: Where the chunks come from; it is only read.
    ///   - metadata: Whatever the caller wants to find in the archive again, JSON by convention;
    ///     up to 1 MiB.
    ///   - descriptor: Gets the archive's bytes in their order. It can be a pipe; the caller has
    ///     to see to it that SIGPIPE doesn't end the process.
    ///   - path: What `descriptor` is called in messages.
    ///   - options: How to go about it.
    ///   - control: Events, and the wish to stop.
    /// - Returns: What was written.
    /// - Throws: `ArchiveError`; what was written until then is of no use.
    @discardableResult
    public static func write(
        _ source: any ChunkSource, metadata: String, to descriptor: FileDescriptor,
        path: FilePath = "archive", options: ArchiveOptions = ArchiveOptions(),
        control: ArchiveControl = ArchiveControl()
    ) throws(ArchiveError) -> ArchiveSummary {
        let slices = try SourceSlices(source, blockSize: options.blockSize)
        var sink = ArchiveSink(descriptor, path: path)
        try sink.write(header(slices, metadata)[...])

        let workload = options.workload(
            workspaceBytes: Workspace.bytes(blockSize: slices.size))
        let workspaces = try Workspace.make(workload.workspaces, blockSize: slices.size)
        // Pieces of the index are as large as one, whatever the blocks are.
        let own = try Workspace(blockSize: max(slices.size, ArchiveFormat.indexPiece))
        var index = IndexBuilder()
        var progress = try control.begin(.writing, total: slices.total)
        let work = OrderedWork(
            count: slices.count, threads: workload.threads, niceness: options.niceness,
            workspaces: workspaces
        ) { slice, workspace in
            Result { () throws(ArchiveError) in try encode(slice, of: slices, in: workspace) }
        }
        try work.run { slice, workspace, result throws(ArchiveError) in
            let encoded = try result.get()
            try write(encoded, in: workspace, to: &sink, &index)
            for (entry, isZero) in zip(slices.entries(of: slice), encoded.zeros) {
                // A chunk that is cut into several slices is one exception.
                if !slices.areWholeChunks, !slices.begins(slice, entry) { continue }
                index.add(source.exceptions.entries[entry].originChunk, isZero: isZero, own)
            }
            try progress.advance(by: UInt64(slices.length(of: slice)))
        }
        try index.finish(into: &sink, own)
        return ArchiveSummary(index.footer)
    }

    private static func header(
        _ slices: SourceSlices, _ metadata: String
    ) throws(ArchiveError) -> [UInt8] {
        let bytes = [UInt8](metadata.utf8)
        guard bytes.count <= ArchiveFormat.largestMetadata else {
            throw .metadataTooLong(bytes: bytes.count)
        }
        return ArchiveHeader(
            blockSize: UInt32(max(slices.size, ArchiveFormat.indexPiece)),
            chunkSize: UInt32(slices.source.chunkSize.bytes.bytes),
            originSize: slices.source.originSize.bytes, metadata: bytes
        ).encoded
    }

    /// What became of a slice.
    private struct Encoded: Sendable {
        /// For every chunk whether it is zero.
        var zeros: [Bool]
        /// Nil where all of them are.
        var section: SectionSealer.Sealed?
    }

    private static func encode(
        _ slice: UInt64, of slices: SourceSlices, in workspace: Workspace
    ) throws(ArchiveError) -> Encoded {
        var length = slices.length(of: slice)
        let zeros = try workspace.load(slice, of: slices, length: &length)
        guard length > 0 else { return Encoded(zeros: zeros) }
        // The block's number is known only when those before it are written.
        if !slices.areWholeChunks, workspace.isZero(length) {
            return Encoded(
                zeros: zeros,
                section: SectionSealer.zeros(.block, number: 0, length: length, in: workspace))
        }
        return Encoded(
            zeros: zeros,
            section: SectionSealer.seal(.block, number: 0, length: length, in: workspace))
    }

    private static func write(
        _ encoded: Encoded, in workspace: Workspace, to sink: inout ArchiveSink,
        _ index: inout IndexBuilder
    ) throws(ArchiveError) {
        guard var section = encoded.section else { return }
        section.header.number = index.footer.blocks
        index.add(section.header, at: sink.offset)
        try sink.write(
            workspace.finish(section), payloadChecksum: section.header.payloadChecksum)
    }
}

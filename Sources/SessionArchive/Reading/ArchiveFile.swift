internal import Block
internal import ExceptionStore
internal import SystemPackage

/// An archive that was opened: its header, footer and directory of blocks, all checked.
final class ArchiveFile: Sendable {
    let descriptor: OwnedDescriptor
    let header: ArchiveHeader
    let footer: ArchiveFooter
    let blocks: BlockDirectory
    let chunkSize: ChunkSize
    /// How many runs there are, joined where they touch.
    let runs: UInt64

    /// Reads and checks everything but the blocks; the runs are checked and not kept.
    ///
    /// - Parameter memoryLimit: For what is kept of the index, and for the table of exceptions.
    init(
        _ descriptor: consuming OwnedDescriptor, memoryLimit: UInt64
    ) throws(ArchiveError) {
        let ends = try ArchiveEnds(descriptor)
        self.header = ends.header
        self.footer = ends.footer
        self.chunkSize = ends.chunkSize
        try Self.limit(ends.directoryMemory, memoryLimit)
        var blocks = BlockDirectory(ends.blockRules)
        var runs = RunCount()
        let walk = IndexWalk(ends)
        try walk.run(descriptor) { contents throws(ArchiveFault) in
            try blocks.add(contents)
        } visitRun: {
            runs.add($0)
        }
        self.runs = runs.count
        // Neither sum overflows: each run took two bytes at least.
        try Self.limit(
            ends.directoryMemory + Self.tableMemory(ends.footer, runs: runs.count), memoryLimit)
        guard UInt64(blocks.records.count) == footer.blocks, blocks.length == ends.dataLength else {
            throw .damaged(.index, .blocks)
        }
        self.blocks = blocks
        self.descriptor = descriptor
    }

    private static func limit(_ needed: UInt64, _ limit: UInt64) throws(ArchiveError) {
        guard needed <= limit else {
            throw .tooLarge(needed: ByteCount(needed), limit: ByteCount(limit))
        }
    }

    /// The memory for a table of exceptions, in the smaller of its two forms.
    private static func tableMemory(_ footer: ArchiveFooter, runs: UInt64) -> UInt64 {
        let byRuns = runs * UInt64(MemoryLayout<ExceptionRun>.size)
        let (byEntries, overflow) = (footer.dataChunks + footer.zeroChunks)
            .multipliedReportingOverflow(by: UInt64(MemoryLayout<ExceptionEntry>.size))
        return overflow ? byRuns : min(byRuns, byEntries)
    }

    /// Whether a table of runs is smaller than one of entries.
    var prefersRuns: Bool {
        Self.tableMemory(footer, runs: runs) == runs * UInt64(MemoryLayout<ExceptionRun>.size)
    }

    /// Opens a file for reading; what is no regular file is refused at once.
    static func open(_ path: FilePath) throws(ArchiveError) -> OwnedDescriptor {
        do {
            return try PlainFile.open(path)
        } catch {
            switch error {
            case .system(let error): throw .system(error)
            case .notPlain(let kind): throw .notAFile(kind)
            }
        }
    }

    /// The bytes in all blocks.
    var dataLength: UInt64 { blocks.length }

    /// Visits all runs, in the origin's order.
    func forEachRun(_ visit: (ArchiveRun) -> Void) throws(ArchiveError) {
        try IndexWalk(header: header, footer: footer, chunkSize: chunkSize).run(
            descriptor, visitBlocks: { _ in }, visitRun: visit)
    }

    /// Reads a block and checks everything about it.
    ///
    /// - Parameter contents: As long as the block's contents.
    func load(
        _ block: Int, into contents: inout MutableSpan<UInt8>, _ loader: BlockLoader
    ) throws(BlockLoader.Failure) -> BlockLoader.Checksums {
        let record = blocks.records[block]
        let (header, checksum) = try loader.header(in: descriptor, at: record.offset)
        guard record.describes(header, number: UInt64(block)) else {
            throw .fault(.contradiction)
        }
        let payload = try loader.load(
            header, in: descriptor, at: record.offset, into: &contents)
        return BlockLoader.Checksums(header: checksum, payload: payload)
    }

    /// Checks everything about a block without a payload, in no memory for its contents.
    func checkZeros(
        _ block: Int, _ loader: BlockLoader
    ) throws(BlockLoader.Failure) -> BlockLoader.Checksums {
        let record = blocks.records[block]
        let (header, checksum) = try loader.header(in: descriptor, at: record.offset)
        guard record.describes(header, number: UInt64(block)) else {
            throw .fault(.contradiction)
        }
        try loader.checkZeros(header)
        return BlockLoader.Checksums(header: checksum, payload: CRC32.empty)
    }
}

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
        let needed = ends.memory
        guard needed <= memoryLimit else {
            throw .tooLarge(needed: ByteCount(needed), limit: ByteCount(memoryLimit))
        }
        var blocks = BlockDirectory(ends.blockRules)
        let walk = IndexWalk(ends)
        try walk.run(descriptor, wanted: .blocks) { contents throws(ArchiveFault) in
            try blocks.add(contents)
        } visitRun: { _ in
        }
        guard UInt64(blocks.records.count) == footer.blocks, blocks.length == ends.dataLength else {
            throw .damaged(.index, .blocks)
        }
        self.blocks = blocks
        self.descriptor = descriptor
    }

    /// Opens a file for reading.
    static func open(_ path: FilePath) throws(ArchiveError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.open(path, .readOnly)
        } catch {
            throw .system(error)
        }
    }

    /// The bytes in all blocks.
    var dataLength: UInt64 { blocks.length }

    /// Visits all runs, in the origin's order.
    func forEachRun(_ visit: (ArchiveRun) -> Void) throws(ArchiveError) {
        try IndexWalk(header: header, footer: footer, chunkSize: chunkSize).run(
            descriptor, wanted: .runs, visitBlocks: { _ in }, visitRun: visit)
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
}

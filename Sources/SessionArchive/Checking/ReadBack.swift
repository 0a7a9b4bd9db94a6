internal import Block
internal import ExceptionStore

/// Compares an archive that was just written with what it was made from.
///
/// It has no second table of exceptions, which would take as much memory as the source's: a bit for
/// every exception and a number for every slice are enough.
///
/// Every block is inflated by what a restore inflates it with, libdeflate, which has nothing in common
/// with the compressor; one in so many, the first among them, by zlib too. All of them would take
/// longer than to compress them.
struct ReadBack: Sendable {
    /// One block in so many is inflated by zlib.
    private static let zlibInterval = 32

    private let file: ArchiveFile
    private let slices: SourceSlices
    private let options: ArchiveOptions
    /// For every exception whether the archive says that it is zero.
    private let zeros: BitSet
    /// The block that each slice's data is in.
    private let blocks: [UInt32]

    /// - Parameters:
    ///   - file: The archive.
    ///   - source: What it was made from, with the same options.
    ///   - metadata: What it was made with.
    init(
        _ file: ArchiveFile, _ source: any ChunkSource, metadata: String, options: ArchiveOptions
    ) throws(ArchiveError) {
        self.file = file
        self.options = options
        slices = try SourceSlices(source, blockSize: options.blockSize)
        guard file.header.metadata == [UInt8](metadata.utf8),
            file.header.originSize == source.originSize.bytes,
            file.chunkSize == source.chunkSize
        else { throw .damaged(.header, .contradiction) }
        zeros = try Self.zeros(file, source)
        blocks = try Self.blocks(file, slices, zeros)
    }

    /// Reads everything, and stops at the first difference.
    ///
    /// - Throws: `readBackDiffers`, `damagedBlock`, `source`, `system`, `truncated`, `cancelled`.
    func run(_ control: ArchiveControl) throws(ArchiveError) {
        var progress = try control.begin(.verifying, total: slices.total)
        let workload = options.workload(workspaceBytes: 3 * slices.size)
        var spaces: [Space] = []
        for _ in 0..<workload.workspaces {
            spaces.append(try Space(slices.size, Int(file.header.blockSize)))
        }
        let work = OrderedWork(
            count: slices.count, threads: workload.threads, niceness: options.niceness,
            workspaces: spaces
        ) { slice, space in
            Result { () throws(ArchiveError) in try compare(slice, in: space) }
        }
        var bytes = try WholeChecksum(file)
        try work.run { slice, _, result throws(ArchiveError) in
            if let checksums = try result.get() {
                let record = file.blocks.records[Int(blocks[Int(slice)])]
                try bytes.skip(to: record.offset)
                bytes.add(checksums, of: record)
            }
            try progress.advance(by: UInt64(slices.length(of: slice)))
        }
        try bytes.skip(to: file.footer.archiveLength - UInt64(ArchiveFooter.size))
        guard bytes.checksum == file.footer.archiveChecksum else {
            throw .damaged(.whole, .checksum)
        }
    }

    /// Memory for a slice of the source, and for the block that should be the same.
    ///
    /// It is safe to send: one job at a time has it.
    @safe private final class Space: @unchecked Sendable {
        var source: [UInt8]
        let archived: VerifyingSpace
        let zlib: ZlibDecompressor

        init(_ slice: Int, _ block: Int) throws(ArchiveError) {
            guard let zlib = ZlibDecompressor() else { throw .noMemory }
            self.zlib = zlib
            source = [UInt8](repeating: 0, count: slice)
            archived = try VerifyingSpace(contentsSize: block, blockSize: block)
        }

        /// Whether the first `length` bytes of both are the same.
        func isSame(_ length: Int) -> Bool {
            archived.contents.use(0..<length) { archived in
                source.use(0..<length) { archived.equals($0) }
            }
        }
    }

    /// - Returns: The checksums of the slice's block; nil where it has none.
    private func compare(
        _ slice: UInt64, in space: Space
    ) throws(ArchiveError) -> BlockLoader.Checksums? {
        var length = slices.length(of: slice)
        let found = try space.source.fill(0..<length) { span throws(ArchiveError) in
            try slices.read(slice, into: &span)
            return slices.removeZeroChunks(from: &span, length: &length)
        }
        let entries = slices.entries(of: slice)
        guard zip(entries, found).allSatisfy({ zeros[$0] == $1 }) else {
            throw .readBackDiffers(slices.chunks(of: slice))
        }
        guard length > 0 else { return nil }
        let block = Int(blocks[Int(slice)])
        let record = file.blocks.records[block]
        guard Int(record.contentsLength) == length else { throw .damaged(.index, .blocks) }
        let checksums: BlockLoader.Checksums
        var isSame: Bool
        do {
            checksums = try space.archived.load(block, of: file)
            isSame = space.isSame(length)
            if block.isMultiple(of: Self.zlibInterval), record.isDeflated {
                try space.archived.inflateAgain(record, by: space.zlib)
                isSame = isSame && space.isSame(length)
            }
        } catch {
            throw self.error(error, block, slice)
        }
        guard isSame else { throw .readBackDiffers(slices.chunks(of: slice)) }
        return checksums
    }

    private func error(
        _ error: BlockLoader.Failure, _ block: Int, _ slice: UInt64
    ) -> ArchiveError {
        let record = file.blocks.records[block]
        guard case .fault(let fault) = error else {
            return error.archiveError(.whole, needed: record.end)
        }
        return .damagedBlock(
            DamagedBlock(
                number: UInt64(block), bytes: record.offset..<record.end,
                storedBytes: file.blocks.range(of: block), chunks: slices.chunks(of: slice),
                fault: fault))
    }

    /// Compares the archive's runs with the source's table.
    private static func zeros(
        _ file: ArchiveFile, _ source: any ChunkSource
    ) throws(ArchiveError) -> BitSet {
        let entries = source.exceptions.entries
        var zeros = BitSet(count: entries.count)
        var index = 0
        var isSame = true
        try file.forEachRun { run in
            for chunk in run.originChunk..<run.originChunk + run.count {
                guard isSame, index < entries.count, entries[index].originChunk == chunk else {
                    isSame = false
                    return
                }
                if run.isZero { zeros.insert(index) }
                index += 1
            }
        }
        guard isSame, index == entries.count else { throw .damaged(.index, .runs) }
        return zeros
    }

    /// Every slice that isn't all zeros has made one block; a part of a chunk always has.
    private static func blocks(
        _ file: ArchiveFile, _ slices: SourceSlices, _ zeros: BitSet
    ) throws(ArchiveError) -> [UInt32] {
        var blocks: [UInt32] = []
        blocks.reserveCapacity(Int(slices.count))
        var next: UInt32 = 0
        for slice in 0..<slices.count {
            blocks.append(next)
            let isEmpty =
                slices.areWholeChunks && slices.entries(of: slice).allSatisfy { zeros[$0] }
            if !isEmpty { next += 1 }
        }
        guard UInt64(next) == file.footer.blocks else { throw .damaged(.index, .blocks) }
        return blocks
    }
}

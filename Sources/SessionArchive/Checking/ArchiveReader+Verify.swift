internal import ExceptionStore
internal import Block

extension ArchiveReader {
    /// Reads the whole archive and checks every checksum.
    ///
    /// A damaged block doesn't stop it.
    ///
    /// - Parameters:
    ///   - options: How many threads decompress; the block size has no meaning here.
    ///   - control: Events, and the wish to stop.
    /// - Returns: What is damaged, if anything is.
    /// - Throws: `system`, `truncated` where the file became shorter meanwhile, `cancelled`.
    public func verify(
        options: ArchiveOptions = ArchiveOptions(), control: ArchiveControl = ArchiveControl()
    ) throws(ArchiveError) -> ArchiveVerification {
        var result = ArchiveVerification()
        var bytes = try WholeChecksum(file)
        var progress = try control.begin(.verifying, total: file.footer.archiveLength)
        try verifyBlocks(options) { block, outcome throws(ArchiveError) in
            let record = file.blocks.records[block]
            try bytes.skip(to: record.offset)
            switch outcome {
            case .success(let checksums):
                bytes.add(checksums, of: record)
            case .failure(.fault(let fault)):
                result.damagedBlocks += 1
                if result.damage.count < ArchiveVerification.mostDescribed {
                    result.damage.append(damagedBlock(block, fault))
                }
                bytes.offset = record.end
            case .failure(let error):
                throw error.archiveError(.whole, needed: record.end)
            }
            result.blocks += 1
            try progress.advance(by: record.end - record.offset)
        }
        let end = file.footer.archiveLength - UInt64(ArchiveFooter.size)
        try bytes.skip(to: end)
        // A damaged block changes this, too, and says nothing new by that.
        if result.damagedBlocks == 0, bytes.checksum != file.footer.archiveChecksum {
            result.otherDamage = .checksum
        }
        try progress.advance(by: file.footer.archiveLength - progress.done)
        return result
    }

    private func verifyBlocks(
        _ options: ArchiveOptions,
        _ take: (Int, Result<BlockLoader.Checksums, BlockLoader.Failure>) throws(ArchiveError)
            -> Void
    ) throws(ArchiveError) {
        let size = file.blocks.largestWithPayload
        let workload = options.workload(workspaceBytes: 2 * size)
        var spaces: [VerifyingSpace] = []
        for _ in 0..<workload.workspaces {
            spaces.append(
                try VerifyingSpace(
                    contentsSize: size, blockSize: Int(file.header.blockSize)))
        }
        let work = OrderedWork(
            count: UInt64(file.blocks.records.count), threads: workload.threads,
            niceness: options.niceness, workspaces: spaces
        ) { [file] number, space in
            Result { () throws(BlockLoader.Failure) in try space.check(Int(number), of: file) }
        }
        try work.run { number, _, outcome throws(ArchiveError) in
            try take(Int(number), outcome)
        }
    }
}

/// Memory for a block that is read.
///
/// It is safe to send: one job at a time has it.
@safe final class VerifyingSpace: @unchecked Sendable {
    private(set) var contents: [UInt8]
    private let loader: BlockLoader

    init(contentsSize: Int, blockSize: Int) throws(ArchiveError) {
        loader = try BlockLoader(blockSize: blockSize)
        contents = [UInt8](repeating: 0, count: contentsSize)
    }

    /// Reads a block and checks it; contents of zeros take no memory.
    func check(
        _ block: Int, of file: ArchiveFile
    ) throws(BlockLoader.Failure) -> BlockLoader.Checksums {
        file.blocks.records[block].payloadLength == 0
            ? try file.checkZeros(block, loader) : try load(block, of: file)
    }

    /// Reads a block to the start of the contents.
    func load(
        _ block: Int, of file: ArchiveFile
    ) throws(BlockLoader.Failure) -> BlockLoader.Checksums {
        let slot = 0..<Int(file.blocks.records[block].contentsLength)
        return try contents.fill(slot) { span throws(BlockLoader.Failure) in
            try file.load(block, into: &span, loader)
        }
    }

    /// Inflates the deflated block that was loaded last once more, to the same place.
    func inflateAgain(
        _ record: BlockRecord, by zlib: ZlibDecompressor
    ) throws(BlockLoader.Failure) {
        try contents.fill(0..<Int(record.contentsLength)) { span throws(BlockLoader.Failure) in
            try loader.inflateAgain(Int(record.payloadLength), by: zlib, into: &span)
        }
    }
}

/// The checksum of an archive's bytes, put together from those of its blocks and of what is between.
struct WholeChecksum {
    private let file: ArchiveFile
    private(set) var checksum = CRC32.empty
    /// Where the bytes end that were added.
    var offset: UInt64 = 0

    init(_ file: ArchiveFile) throws(ArchiveError) {
        self.file = file
        try skip(to: UInt64(file.header.length))
    }

    /// Reads and adds the bytes up to `end`.
    mutating func skip(to end: UInt64) throws(ArchiveError) {
        var buffer = [UInt8](repeating: 0, count: Int(min(end - offset, 1 << 18)))
        while offset < end {
            let slot = 0..<Int(min(UInt64(buffer.count), end - offset))
            let part: UInt32
            do {
                part = try buffer.fill(slot) { span throws(BlockLoader.Failure) in
                    try BlockLoader.fill(&span, from: file.descriptor, at: offset)
                    return CRC32.of(span.span)
                }
            } catch {
                throw error.archiveError(.whole, needed: end)
            }
            add(part, length: UInt64(slot.count))
        }
    }

    /// Adds a block's section.
    mutating func add(_ checksums: BlockLoader.Checksums, of record: BlockRecord) {
        add(checksums.header, length: UInt64(SectionHeader.size))
        add(checksums.payload, length: UInt64(record.payloadLength))
    }

    private mutating func add(_ part: UInt32, length: UInt64) {
        checksum = CRC32.joining(checksum, part, length: length)
        offset += length
    }
}

public import Block
public import ExceptionStore
internal import Glibc
public import SystemPackage

/// An archive, open for reading.
///
/// Every read checks what it reads against the checksums. Reads can be made by several threads at
/// a time.
public final class ArchiveReader: ChunkSource {
    /// The archive's chunks. Those with data are numbered from 0 in the origin's order, those of
    /// zeros after them.
    public let exceptions: ExceptionTable
    /// What was given to the writer.
    public let metadata: String

    let file: ArchiveFile
    private let cache: BlockCache
    private let loaders = Gate<[BlockLoader]>([])

    /// Opens an archive by its path, and reads and checks all but its blocks.
    ///
    /// - Parameters:
    ///   - path: The archive; a regular file.
    ///   - memoryLimit: The most memory for the table of exceptions and the directory of blocks.
    ///     Half of the machine's memory if nil.
    ///   - cacheBytes: The most memory for decompressed blocks that were not wanted whole; two
    ///     blocks are always kept.
    /// - Throws: `system` where opening or reading failed, `notAFile`, otherwise what is wrong with
    ///   the archive.
    public convenience init(
        path: FilePath, memoryLimit: ByteCount? = nil, cacheBytes: Int = 8 << 20
    ) throws(ArchiveError) {
        try self.init(
            ArchiveFile.open(path), memoryLimit: memoryLimit, cacheBytes: cacheBytes)
    }

    /// Reads and checks all of an archive but its blocks.
    ///
    /// - Parameters:
    ///   - descriptor: The archive, readable.
    ///   - memoryLimit: As above.
    ///   - cacheBytes: As above.
    /// - Throws: `system` where reading failed, otherwise what is wrong with the archive.
    public init(
        _ descriptor: consuming OwnedDescriptor, memoryLimit: ByteCount? = nil,
        cacheBytes: Int = 8 << 20
    ) throws(ArchiveError) {
        let limit = memoryLimit?.bytes ?? Self.halfOfMemory
        file = try ArchiveFile(descriptor, memoryLimit: limit)
        exceptions = try file.exceptionTable()
        metadata = try file.header.text
        cache = BlockCache(
            capacity: max(2, cacheBytes / max(Int(file.header.blockSize), 1)))
    }

    private static var halfOfMemory: UInt64 {
        UInt64(max(sysconf(Int32(_SC_PHYS_PAGES)), 0))
            * UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 0))
            / 2
    }

    /// The archive's file.
    public var path: FilePath { file.descriptor.path }

    /// The archive's.
    public var descriptors: [Int32] { [file.descriptor.descriptor.rawValue] }

    /// How much the archive holds, and how large it is.
    public var summary: ArchiveSummary { ArchiveSummary(file.footer) }

    /// Fills the buffer with the contents from `storedOffset` on.
    ///
    /// A block that lies wholly in the buffer is decompressed right into it; of others the last
    /// few are kept.
    ///
    /// - Throws: `system`; `ended` where the file has become shorter or nothing is kept there;
    ///   `damaged` with a `DamagedBlock`, which names the chunks.
    public func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        let total = UInt64(exceptions.count) << UInt64(chunkSize.byteShift)
        guard storedOffset <= total, UInt64(buffer.count) <= total - storedOffset else {
            throw .ended(size: ByteCount(total))
        }
        var done = 0
        while done < buffer.count {
            let offset = storedOffset + UInt64(done)
            guard offset < file.dataLength else {
                var rest = buffer._mutatingExtracting(done..<buffer.count)
                rest.clear()
                return
            }
            let block = file.blocks.block(with: offset)
            let range = file.blocks.range(of: block)
            let length = Int(min(range.upperBound - offset, UInt64(buffer.count - done)))
            var part = buffer._mutatingExtracting(done..<done + length)
            if length == range.count {
                try load(block, into: &part)
            } else if file.blocks.records[block].payloadLength == 0 {
                // Kept nowhere: forty bytes can be sixteen megabytes of them.
                try use(block) { loader throws(BlockLoader.Failure) in
                    _ = try file.checkZeros(block, loader)
                }
                part.clear()
            } else {
                let contents = try cached(block)
                let start = Int(offset - range.lowerBound)
                part.copy(from: contents.span.extracting(start..<start + length))
            }
            done += length
        }
    }

    private func cached(_ block: Int) throws(ChunkReadError) -> [UInt8] {
        try cache.contents(of: block) { () throws(ChunkReadError) in
            let length = Int(file.blocks.records[block].contentsLength)
            var contents = [UInt8](repeating: 0, count: length)
            try contents.fill(0..<length) { span throws(ChunkReadError) in
                try load(block, into: &span)
            }
            return contents
        }
    }

    private func load(
        _ block: Int, into span: inout MutableSpan<UInt8>
    ) throws(ChunkReadError) {
        try use(block) { loader throws(BlockLoader.Failure) in
            _ = try file.load(block, into: &span, loader)
        }
    }

    /// Lends something to read a block with.
    private func use(
        _ block: Int, _ body: (BlockLoader) throws(BlockLoader.Failure) -> Void
    ) throws(ChunkReadError) {
        let loader: BlockLoader
        do {
            loader =
                try loaders.change({ $0.popLast() })
                ?? BlockLoader(blockSize: Int(file.header.blockSize))
        } catch {
            throw .damaged(error)
        }
        defer { loaders.change { $0.append(loader) } }
        do {
            try body(loader)
        } catch {
            switch error {
            case .system(let error): throw .system(error)
            case .ended(let size): throw .ended(size: size)
            case .fault(let fault): throw .damaged(damagedBlock(block, fault))
            }
        }
    }

    /// What is known of a block with a fault.
    func damagedBlock(_ block: Int, _ fault: ArchiveFault) -> DamagedBlock {
        let record = file.blocks.records[block]
        return DamagedBlock(
            number: UInt64(block), bytes: record.offset..<record.end,
            storedBytes: file.blocks.range(of: block), chunks: chunks(in: block), fault: fault)
    }

    /// The chunks of the origin whose contents are in a block.
    private func chunks(in block: Int) -> ChunkList {
        let range = file.blocks.range(of: block)
        let shift = UInt64(chunkSize.byteShift)
        let last = (range.upperBound - 1) >> shift
        var chunks = ChunkList()
        for run in exceptions.runs(from: entry(ofDataChunk: range.lowerBound >> shift)) {
            if run.storedChunk >= file.footer.dataChunks { continue }
            if run.storedChunk > last { break }
            let count = min(run.count, last - run.storedChunk + 1)
            chunks.append(run.originChunk...run.originChunk + (count - 1))
        }
        return chunks
    }

    /// The index of the entry for a chunk with data.
    ///
    /// The table is in the origin's order, and so are both kinds of chunks; so how many chunks
    /// with data there are before an entry follows from its own number.
    private func entry(ofDataChunk chunk: UInt64) -> Int {
        var low = 0
        var high = exceptions.count
        while low < high {
            let middle = low + (high - low) / 2
            let stored = exceptions.entries[middle].storedChunk
            let isData = stored < file.footer.dataChunks
            // Through this entry, with it.
            let dataChunks =
                isData ? stored + 1 : UInt64(middle) - (stored - file.footer.dataChunks)
            if dataChunks <= chunk {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}

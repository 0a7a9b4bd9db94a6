internal import Block
internal import ExceptionStore

/// What it takes to read a section: memory for the payload, and a decompressor.
///
/// It is safe to send: one reader at a time has it.
@safe final class BlockLoader: @unchecked Sendable {
    private let blockSize: Int
    private var payload: [UInt8] = []
    private let decompressor: Decompressor

    /// Why a section can't be read.
    enum Failure: Error {
        case system(SystemError)
        /// The archive ends at this size.
        case ended(ByteCount)
        case fault(ArchiveFault)
    }

    /// Checksums of the bytes that a section has in the archive.
    struct Checksums: Sendable {
        var header: UInt32
        var payload: UInt32
    }

    /// - Parameter blockSize: The largest contents, and so the largest payload. Memory is taken for
    ///   what comes.
    init(blockSize: Int) throws(ArchiveError) {
        guard let decompressor = Decompressor() else { throw .noMemory }
        self.decompressor = decompressor
        self.blockSize = blockSize
    }

    /// Reads exactly as many bytes as the span has.
    static func fill(
        _ span: inout MutableSpan<UInt8>, from archive: borrowing OwnedDescriptor, at offset: UInt64
    ) throws(Failure) {
        let wanted = span.count
        let got: Int
        do {
            got = try archive.read(into: &span, at: offset)
        } catch {
            throw .system(error)
        }
        guard got == wanted else { throw .ended(ByteCount(offset + UInt64(got))) }
    }

    /// Reads a section's header.
    func header(
        in archive: borrowing OwnedDescriptor, at offset: UInt64
    ) throws(Failure) -> (header: SectionHeader, checksum: UInt32) {
        var bytes = [UInt8](repeating: 0, count: SectionHeader.size)
        var span = bytes.mutableSpan
        try Self.fill(&span, from: archive, at: offset)
        do {
            let header = try SectionHeader(bytes[...], blockSize: UInt32(blockSize))
            return (header, CRC32.of(bytes[...]))
        } catch {
            throw .fault(error)
        }
    }

    /// Reads a section's contents, behind a header that was read from `offset`, and checks both
    /// checksums.
    ///
    /// - Parameter contents: As long as the header says.
    /// - Returns: The checksum of the payload.
    func load(
        _ header: SectionHeader, in archive: borrowing OwnedDescriptor, at offset: UInt64,
        into contents: inout MutableSpan<UInt8>
    ) throws(Failure) -> UInt32 {
        try load(header, into: &contents) { span throws(Failure) in
            try Self.fill(&span, from: archive, at: offset + UInt64(SectionHeader.size))
        }
    }

    /// The same, with the payload from wherever `read` gets it.
    func load(
        _ header: SectionHeader, into contents: inout MutableSpan<UInt8>,
        read: (inout MutableSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) -> UInt32 {
        let slot = 0..<Int(header.payloadLength)
        let checksum: UInt32
        switch header.method {
        case .stored:
            try read(&contents)
            checksum = CRC32.of(contents.span)
        case .zeros:
            contents.clear()
            checksum = CRC32.empty
        case .deflated:
            payload.lengthen(to: slot.upperBound, atMost: blockSize)
            checksum = try payload.fill(slot) { bytes throws(Failure) in
                try read(&bytes)
                return CRC32.of(bytes.span)
            }
        }
        guard checksum == header.payloadChecksum else { throw .fault(.payloadChecksum) }
        if header.method == .deflated { try inflate(slot, into: &contents) }
        let whole = header.method == .stored ? checksum : CRC32.of(contents.span)
        guard whole == header.contentsChecksum else { throw .fault(.contentsChecksum) }
        return checksum
    }

    /// Checks that a section is zeros, and that its checksums say so.
    func checkZeros(_ header: SectionHeader) throws(Failure) {
        guard header.method == .zeros else { throw .fault(.contradiction) }
        guard header.payloadChecksum == CRC32.empty else { throw .fault(.payloadChecksum) }
        guard header.contentsChecksum == CRC32.ofZeros(UInt64(header.contentsLength)) else {
            throw .fault(.contentsChecksum)
        }
    }

    /// Inflates the payload that was loaded last once more.
    ///
    /// - Parameter length: Its length.
    func inflateAgain(
        _ length: Int, by zlib: ZlibDecompressor, into contents: inout MutableSpan<UInt8>
    ) throws(Failure) {
        let isGood = payload.use(0..<length) { zlib.decompress($0, into: &contents) }
        guard isGood else { throw .fault(.compression) }
    }

    private func inflate(
        _ slot: Range<Int>, into contents: inout MutableSpan<UInt8>
    ) throws(Failure) {
        let isGood = payload.use(slot) { decompressor.decompress($0, into: &contents) }
        guard isGood else { throw .fault(.compression) }
    }
}

extension BlockLoader.Failure {
    /// The same for a section of the index, or for the whole.
    func archiveError(_ part: ArchivePart, needed: UInt64) -> ArchiveError {
        switch self {
        case .system(let error): .system(error)
        case .ended(let size): .truncated(needed: ByteCount(needed), size: size)
        case .fault(let fault): .damaged(part, fault)
        }
    }
}

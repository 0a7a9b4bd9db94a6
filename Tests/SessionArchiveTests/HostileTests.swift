import Block
import ExceptionStore
import StoreTesting
import Testing

@testable import SessionArchive

// All checksums are right here: somebody meant it.
@Suite struct HostileTests {
    let archives = Archives()

    /// What both readers say of an archive, which has to be a refusal.
    func expectRefused(
        _ archive: HandMade, _ comment: Comment? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(
            try archives.fault(in: archive.bytes) != nil, comment, sourceLocation: sourceLocation)
        #expect(
            try archives.streamFault(in: archive.bytes) != nil, comment,
            sourceLocation: sourceLocation)
    }

    func expectGood(
        _ archive: HandMade, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try archives.fault(in: archive.bytes) == nil, sourceLocation: sourceLocation)
        #expect(
            try archives.streamFault(in: archive.bytes) == nil, sourceLocation: sourceLocation)
    }

    @Test func `the archive that the others here are made of is good`() throws {
        try expectGood(HandMade.oneChunk())
        try expectGood(HandMade())
        let reader = try ArchiveReader(path: archives.file(HandMade.oneChunk().bytes))
        #expect(
            reader.exceptions.entries == [ExceptionEntry(originChunk: 7, storedChunk: 0)])
    }

    @Test(
        arguments: [
            [1000, 0],  // behind the origin's end
            [999, 2],  // across it
            [UInt64.max, 0], [0, .max], [0, .max - 1], [1, .max],  // overflows
            [5, 0, .max, 0], [5, 0, .max - 5, 0],
            [5, 2], [5, 1], [],  // two chunks, a zero one, none, where the footer says one
        ] as [[UInt64]])
    func `runs that can't be are refused`(numbers: [UInt64]) throws {
        var archive = try HandMade.oneChunk()
        var contents: [UInt8] = []
        for number in numbers { Varint.append(number, to: &contents) }
        archive.sections[1] = HandMade.section(.runs, contents)
        try expectRefused(archive)
    }

    @Test func `bytes that are no varints are refused`() throws {
        let eleven = [UInt8](repeating: 0x80, count: 10) + [0]
        let tooLarge = [UInt8](repeating: 0xff, count: 9) + [2]
        for contents: [UInt8] in [[0x80], [7], [7, 0x80], eleven + [0], [0] + tooLarge] {
            var archive = try HandMade.oneChunk()
            archive.sections[1] = HandMade.section(.runs, contents)
            try expectRefused(archive, "\(contents)")
        }
    }

    @Test func `runs that go back are refused, in one section and across two`() throws {
        var archive = HandMade()
        archive.footer.zeroChunks = 2
        archive.footer.runSections = 2
        archive.sections = [
            HandMade.section(.runs, HandMade.runs(9, 1)),
            HandMade.section(.runs, HandMade.runs(9, 1), number: 1),
        ]
        try expectRefused(archive)
        archive.sections[1] = HandMade.section(.runs, HandMade.runs(10, 1), number: 1)
        try expectGood(archive)
    }

    @Test func `a few bytes that speak of very many chunks take no memory`() throws {
        var archive = HandMade()
        archive.header.originSize = .max - 511
        archive.footer.zeroChunks = 1 << 54
        archive.footer.runSections = 1
        archive.sections = [HandMade.section(.runs, HandMade.runs(0, (1 << 55) - 1))]
        try expectGood(archive)
        let reader = try ArchiveReader(
            path: archives.file(archive.bytes), memoryLimit: ByteCount(24))
        #expect(reader.exceptions.count == 1 << 54)
        #expect(
            reader.exceptions.entries[1 << 53]
                == ExceptionEntry(originChunk: 1 << 53, storedChunk: 1 << 53))
    }

    @Test func `the memory limit is kept to the byte`() throws {
        let bytes = try HandMade.oneChunk().bytes
        #expect(try archives.fault(in: bytes, memoryLimit: ByteCount(16 + 32)) == nil)
        let error = try failure {
            _ = try ArchiveReader(
                path: archives.file(bytes), memoryLimit: ByteCount(16 + 31))
        }
        guard case .tooLarge(ByteCount(48), ByteCount(47)) = error else { throw error }
    }

    @Test func `contents that no payload of that length can give are refused`() throws {
        for extra in [0, 1] {
            var archive = HandMade()
            archive.sections = [
                HandMade.section(.runs, [1]) {
                    $0.method = .deflated
                    $0.contentsLength = 1032 + UInt32(extra)
                }
            ]
            archive.footer.runSections = 1
            try expectRefused(archive)
        }
    }

    @Test func `an index of zeros is refused, an unknown section of zeros skipped`() throws {
        for tag: SectionTag in [.runs, .blocks] {
            var archive = HandMade()
            archive.footer.dataChunks = 512
            archive.footer.runSections = tag == .runs ? 1 : 0
            archive.footer.blockSections = tag == .blocks ? 1 : 0
            archive.sections = [HandMade.zeros(tag, 1024)]
            try expectRefused(archive)
        }
        var archive = try HandMade.oneChunk()
        let unknown = SectionTag(code: SectionTag.runs.code ^ 0x2020)
        archive.sections.append(HandMade.zeros(unknown, 1024) { $0.isOptional = true })
        try expectGood(archive)
    }

    @Test(arguments: [0, 2, 1001, 1 << 40, .max] as [UInt64])
    func `numbers in the footer that can't be are refused`(value: UInt64) throws {
        for field in [\ArchiveFooter.dataChunks, \.zeroChunks, \.blocks] {
            var archive = try HandMade.oneChunk()
            if archive.footer[keyPath: field] == value { continue }
            archive.footer[keyPath: field] = value
            try expectRefused(archive, "\(value)")
        }
    }

    @Test func `wrong numbers of sections are refused`() throws {
        var archive = try HandMade.oneChunk()
        archive.footer.runSections = 2
        try expectRefused(archive)
        archive = try HandMade.oneChunk()
        archive.footer.blockSections = .max
        try expectRefused(archive)
        archive = try HandMade.oneChunk()
        archive.sections.append(HandMade.section(.runs, [], number: 2))
        archive.footer.runSections = 2
        try expectRefused(archive)
    }

    @Test(arguments: [0, 1, 45, 1 << 32, 1 << 63, .max] as [UInt64])
    func `an index that is elsewhere is refused`(offset: UInt64) throws {
        var bytes = try HandMade.oneChunk().bytes
        var footer = try ArchiveFooter(bytes.suffix(ArchiveFooter.size))
        footer.indexOffset = offset
        bytes.replaceSubrange(bytes.count - ArchiveFooter.size..<bytes.count, with: footer.encoded)
        #expect(try archives.fault(in: bytes) != nil)
        #expect(try archives.streamFault(in: bytes) != nil)
    }

    @Test(arguments: [0, 43, 45, 1 << 40, .max, .max - 551] as [UInt64])
    func `a block that is elsewhere is refused`(offset: UInt64) throws {
        var archive = try HandMade.oneChunk()
        var record = BlockRecord()
        var reader = FieldReader(archive.sections[2].suffix(BlockRecord.size))
        record.code(&reader)
        record.offset = offset
        archive.sections[2] = HandMade.section(.blocks, record.encoded)
        try expectRefused(archive)
    }

    @Test func `blocks of lengths that can't be are refused`() throws {
        for length in [0, 1, 513, 1024] {
            var archive = try HandMade.oneChunk()
            let block = HandMade.section(.block, [UInt8](repeating: 1, count: length))
            archive.sections[0] = block
            archive.sections[2] = HandMade.section(
                .blocks, try HandMade.record(block, at: archive.header.encoded.count))
            try expectRefused(archive, "\(length)")
        }
    }

    @Test func `a section that claims more than there is is refused`() throws {
        for place in 0..<3 {
            for length: UInt32 in [65536, 65537, .max] {
                var archive = try HandMade.oneChunk()
                let tag = [SectionTag.block, .runs, .blocks][place]
                archive.sections[place] = HandMade.section(tag, [1, 2, 3]) {
                    $0.contentsLength = length
                    $0.payloadLength = length
                }
                try expectRefused(archive, "\(tag) \(length)")
            }
        }
    }

    @Test func `deflated bytes that give more or less than they should are refused`() throws {
        // A stream of one block without compression, of 600 zeros.
        let stream = [1, 0x58, 0x02, 0xa7, 0xfd] + [UInt8](repeating: 0, count: 600)
        for (contents, extra) in [(512, 0), (1024, 0), (600, 1)] {
            let payload = stream + [UInt8](repeating: 0, count: extra)
            var archive = HandMade()
            archive.sections = [
                HandMade.section(.runs, payload) {
                    $0.method = .deflated
                    $0.contentsLength = UInt32(max(contents, payload.count + 1))
                }
            ]
            archive.footer.runSections = 1
            try expectRefused(archive, "\(contents) \(extra)")
        }
    }

    @Test func `headers with numbers that can't be are refused`() throws {
        for chunkSize: UInt32 in [0, 7, 511, 513, 1 << 31] {
            var archive = try HandMade.oneChunk()
            archive.header.chunkSize = chunkSize
            try expectRefused(archive, "\(chunkSize)")
        }
        for blockSize: UInt32 in [0, 512, 65537, 1 << 25, .max] {
            var archive = try HandMade.oneChunk()
            archive.header.blockSize = blockSize
            try expectRefused(archive, "\(blockSize)")
        }
        var archive = try HandMade.oneChunk()
        archive.header.originSize = 0
        try expectRefused(archive)
        archive = try HandMade.oneChunk()
        archive.header.metadata = [0xff, 0xfe]
        try expectRefused(archive)
    }

    /// Changes four bytes of the header and mends its checksum.
    func header(_ value: UInt32, at offset: Int) throws -> [UInt8] {
        var bytes = try HandMade.oneChunk().bytes
        var writer = FieldWriter()
        writer.append(value)
        bytes.replaceSubrange(offset..<offset + 4, with: writer.bytes)
        writer = FieldWriter()
        writer.append(CRC32.of(bytes[..<40]))
        bytes.replaceSubrange(40..<44, with: writer.bytes)
        return bytes
    }

    @Test func `another version and unknown features are called that`() throws {
        let version = try failure {
            _ = try ArchiveReader(path: archives.file(header(2, at: 8)))
        }
        guard case .unsupportedVersion(2) = version else { throw version }
        let features = try failure {
            _ = try ArchiveReader(path: archives.file(header(1 << 31, at: 12)))
        }
        guard case .unsupportedFeatures(1 << 31) = features else { throw features }
    }

    @Test(arguments: [0, 43, 45, 1 << 20, 1 << 21, .max] as [UInt32])
    func `a header of another length than it has is refused`(length: UInt32) throws {
        let bytes = try header(length, at: 16)
        #expect(try archives.fault(in: bytes) != nil)
        #expect(try archives.streamFault(in: bytes) != nil)
    }

    @Test func `metadata longer than the header is refused`() throws {
        for length: UInt32 in [1, 1 << 20, .max] {
            #expect(try archives.fault(in: header(length, at: 28)) != nil)
        }
    }

    @Test func `unknown sections are skipped where they say so, and refused otherwise`() throws {
        let tag = try SectionTag(
            code: SectionHeader(
                HandMade.section(.runs, [])[...], blockSize: 4096
            ).tag.code ^ 0x2020)
        for place in [1, 2, 3] {
            for isOptional in [true, false] {
                var archive = try HandMade.oneChunk()
                archive.sections.insert(
                    HandMade.section(tag, [1, 2, 3], isOptional: isOptional), at: place)
                if isOptional {
                    try expectGood(archive)
                } else {
                    try expectRefused(archive)
                }
            }
        }
        // Between header and blocks only a reader from front to back sees it.
        var archive = try HandMade.oneChunk()
        let extra = HandMade.section(tag, [1, 2, 3], isOptional: true)
        archive.sections.insert(extra, at: 0)
        archive.blockSections = 2
        archive.sections[3] = HandMade.section(
            .blocks,
            try HandMade.record(
                archive.sections[1], at: archive.header.encoded.count + extra.count))
        try expectGood(archive)
    }
}

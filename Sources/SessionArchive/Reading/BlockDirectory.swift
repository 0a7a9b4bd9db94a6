internal import ExceptionStore

/// Where an archive's blocks are, and which bytes of the data each has.
///
/// It takes 32 bytes a block.
struct BlockDirectory: Sendable {
    /// The memory for one block, in bytes.
    static let entryBytes: UInt64 = 32

    private(set) var records: [BlockRecord] = []
    /// The offset of each block's first byte in the data.
    private var starts: [UInt64] = []
    /// The bytes in all blocks.
    private(set) var length: UInt64 = 0

    private let rules: Rules

    /// What has to hold of blocks.
    struct Rules: Sendable {
        /// Sections with data lie inside this.
        var area: Range<UInt64>
        /// How many there are,
        var count: UInt64
        /// and no more than that can come of the index.
        var expected: UInt64
        /// A block has a multiple of this,
        var unit: UInt32
        /// and at most this.
        var blockSize: UInt32
    }

    init(_ rules: Rules) {
        self.rules = rules
        records.reserveCapacity(Int(clamping: rules.expected))
        starts.reserveCapacity(Int(clamping: rules.expected))
    }

    /// Adds the records in a section's contents.
    mutating func add(_ contents: ArraySlice<UInt8>) throws(ArchiveFault) {
        guard contents.count.isMultiple(of: BlockRecord.size) else { throw .length }
        for place in stride(
            from: contents.startIndex, to: contents.endIndex, by: BlockRecord.size)
        {
            var record = BlockRecord()
            var reader = FieldReader(contents[place..<place + BlockRecord.size])
            record.code(&reader)
            try add(record)
        }
    }

    /// Blocks ascend, don't overlap, and lie inside the archive; no sum overflows.
    private mutating func add(_ record: BlockRecord) throws(ArchiveFault) {
        let end = records.last?.end ?? rules.area.lowerBound
        guard UInt64(records.count) < rules.count, record.offset >= end,
            record.offset <= rules.area.upperBound,
            rules.area.upperBound - record.offset
                >= UInt64(SectionHeader.size) + UInt64(record.payloadLength)
        else { throw .blocks }
        guard record.contentsLength > 0, record.contentsLength <= rules.blockSize,
            record.contentsLength.isMultiple(of: rules.unit)
        else { throw .length }
        // Else memory would be taken for what can't come; without a payload the contents are zeros.
        let most = UInt64(record.payloadLength) * ArchiveFormat.mostInflation
        guard record.payloadLength == 0 || UInt64(record.contentsLength) <= most else {
            throw .compression
        }
        let (next, overflow) = length.addingReportingOverflow(UInt64(record.contentsLength))
        guard !overflow else { throw .length }
        records.append(record)
        starts.append(length)
        length = next
    }

    /// The largest contents of blocks that have a payload.
    var largestWithPayload: Int {
        records.lazy.filter { $0.payloadLength > 0 }.map { Int($0.contentsLength) }.max() ?? 0
    }

    /// The bytes of the data that a block has.
    func range(of block: Int) -> Range<UInt64> {
        starts[block]..<starts[block] + UInt64(records[block].contentsLength)
    }

    /// The block with this byte of the data, which has to be below `length`.
    func block(with byte: UInt64) -> Int {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if starts[middle] <= byte {
                low = middle
            } else {
                high = middle
            }
        }
        return low
    }
}

extension BlockRecord {
    /// Where the section ends; checked not to overflow.
    var end: UInt64 { offset + UInt64(SectionHeader.size) + UInt64(payloadLength) }
}

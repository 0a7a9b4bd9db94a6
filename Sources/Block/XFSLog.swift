/// An XFS's log, as far as to see whether it ends with an unmount (fs/xfs/xfs_log_recover.c).
///
/// The log is a ring of blocks of 512 bytes. A block begins with the number of the round in which it was
/// written, or is a record's header and has that number behind a magic one. The head, where the next
/// record would go, is where the numbers drop.
struct XFSLog {
    private static let block: UInt64 = 512
    private static let magic: UInt32 = 0xFEED_BABE
    /// A record's longest data and header, in blocks.
    private static let longestRecord: UInt64 = (256 << 10) / 512 + 8
    /// What can be under way at a time, and be written in any order: eight records.
    private static let window = 8 * longestRecord

    /// Where it is on the device, in bytes.
    let start: UInt64
    /// Its length in blocks of 512 bytes.
    let blocks: UInt64

    /// - Returns: unclean unless the log ends with an unmount's record.
    static func condition(
        _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> FileSystemCondition {
        let superblock = try ByteFields(device, at: 0, count: 512)
        guard let log = XFSLog(superblock: superblock, size: try device.size()) else {
            return .unknown
        }
        switch try log.head(device) {
        case .nowhere: return .unknown
        case .never: return .clean
        case .at(let head, let cycle):
            guard try log.endsWithUnmount(head, device),
                try !log.isWritten(from: head, in: cycle, device)
            else { return .unclean }
            return .clean
        }
    }

    /// - Returns: nil for a log on another device, and for one that can't be on this one.
    init?(superblock: ByteFields, size: ByteCount) {
        guard superblock.has("XFSB", at: 0), let place = superblock.big(UInt64.self, at: 48),
            place != 0, let groupLength = superblock.big(UInt32.self, at: 84),
            let logLength = superblock.big(UInt32.self, at: 96),
            let blockShift = superblock.big(UInt8.self, at: 120), (9...16).contains(blockShift),
            let groupShift = superblock.big(UInt8.self, at: 124), groupShift <= 32
        else { return nil }
        // A block's address has its allocation group's number above its place in the group.
        let group = place >> groupShift
        let inGroup = place & ((1 << groupShift) - 1)
        let (groupStart, isHuge) = group.multipliedReportingOverflow(by: UInt64(groupLength))
        guard !isHuge, groupStart <= .max >> 17, inGroup <= .max >> 17 else { return nil }
        start = (groupStart + inGroup) << blockShift
        blocks = UInt64(logLength) << blockShift / Self.block
        // Shorter than two records of any size no log is, and the kernel allows 2 GiB.
        guard blocks > 2, blocks <= (4 << 30) / Self.block, start <= size.bytes,
            blocks * Self.block <= size.bytes - start
        else { return nil }
    }

    // MARK: the head

    enum Head: Equatable {
        /// In the block of this number; the one before it is of that cycle.
        case at(UInt64, cycle: UInt32)
        /// Nothing was ever written.
        case never
        /// The numbers are none that a log has.
        case nowhere
    }

    private func head(_ device: borrowing OwnedDescriptor) throws(SystemError) -> Head {
        guard let first = try cycle(of: 0, device), let last = try cycle(of: blocks - 1, device)
        else { return .nowhere }
        if first == 0 { return last == 0 ? .never : .nowhere }
        // Written to its very end.
        if first == last { return .at(0, cycle: first) }
        // The round before, or zeros in the first.
        guard first == last &+ 1 else { return .nowhere }
        var (written, left) = (0 as UInt64, blocks - 1)
        while left - written > 1 {
            let middle = written + (left - written) / 2
            guard let cycle = try cycle(of: middle, device) else { return .nowhere }
            if cycle == first { written = middle } else { left = middle }
        }
        return .at(left, cycle: first)
    }

    private func cycle(
        of number: UInt64, _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> UInt32? {
        Self.cycle(try ByteFields(device, at: start + number * Self.block, count: 8), at: 0)
    }

    private static func cycle(_ fields: ByteFields, at offset: Int) -> UInt32? {
        let word = fields.big(UInt32.self, at: offset)
        return word == magic ? fields.big(UInt32.self, at: offset + 4) : word
    }

    /// Whether something behind the head is of the head's round: records that were under way when the
    /// machine stopped, of which others are missing.
    private func isWritten(
        from head: UInt64, in cycle: UInt32, _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> Bool {
        // At the ring's end the next round would begin; of that nothing is there, or it were first.
        guard head > 0 else { return false }
        let count = min(Self.window, blocks - head)
        let fields = try ByteFields(
            device, at: start + head * Self.block, count: Int(count * Self.block))
        return stride(from: 0, to: fields.count, by: Int(Self.block)).contains {
            Self.cycle(fields, at: $0) == cycle
        }
    }

    // MARK: the last record

    private func endsWithUnmount(
        _ head: UInt64, _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> Bool {
        // Backwards to the last record's header, around the ring's end if need be.
        for distance in 1...min(Self.longestRecord, blocks) {
            let number = (head + blocks - distance) % blocks
            let header = try ByteFields(
                device, at: start + number * Self.block, count: Int(Self.block))
            guard header.big(UInt32.self, at: 0) == Self.magic else { continue }
            return try isUnmount(header, distance, at: number, device)
        }
        return false
    }

    private func isUnmount(
        _ header: ByteFields, _ distance: UInt64, at number: UInt64,
        _ device: borrowing OwnedDescriptor
    ) throws(SystemError) -> Bool {
        // xlog_rec_header: version, length of the data, operations, longest data (v2).
        guard let version = header.big(UInt32.self, at: 8),
            let length = header.big(UInt32.self, at: 12),
            let operations = header.big(UInt32.self, at: 40), operations == 1,
            let longest = header.big(UInt32.self, at: 320)
        else { return false }
        // A header has the first words of 32 KiB of data; in version 2 it goes on if there are more.
        let reach: UInt64 = 32 << 10
        let headers = version & 2 != 0 ? max(1, (UInt64(longest) + reach - 1) / reach) : 1
        let data = (UInt64(length) + Self.block - 1) / Self.block
        guard data > 0, headers + data == distance else { return false }
        let place = start + (number + headers) % blocks * Self.block
        // xlog_op_header: id, length, client, flags (XLOG_UNMOUNT_TRANS).
        let operation = try ByteFields(device, at: place, count: 12)
        return operation.big(UInt8.self, at: 9).map { $0 & 0x20 != 0 } ?? false
    }
}

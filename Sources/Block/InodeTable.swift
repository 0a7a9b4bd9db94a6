/// Where the inodes of a file system lie on its device.
///
/// A file whose inode is the same byte for byte is the same in all that stat(2) says, the time of its last
/// change included; so of a million files those whose inodes lie in no chunk that was written needn't be
/// looked at. Known of ext2, ext3, ext4 and XFS, and only of what was unmounted, or frozen, properly: else
/// what counts may be in the journal.
public struct InodeTable: Sendable {
    private enum Form {
        case ext(ExtInodes)
        case xfs(XFSInodes)
    }

    private let form: Form

    /// Reads what it takes to compute places: of ext4 the descriptors of its block groups.
    ///
    /// - Parameter type: libblkid's (`ext4`, `xfs`).
    /// - Returns: nil where that isn't known, or what is read makes no sense.
    public init?(of device: borrowing OwnedDescriptor, type: String?) throws(SystemError) {
        switch type {
        case "ext2", "ext3", "ext4":
            guard let inodes = try ExtInodes(device) else { return nil }
            form = .ext(inodes)
        case "xfs":
            guard let inodes = try XFSInodes(device) else { return nil }
            form = .xfs(inodes)
        default: return nil
        }
        guard try FileSystemCondition(of: device, type: type) == .clean else { return nil }
    }

    /// The bytes of the device that an inode has; nil of a number that there is none of.
    public func place(of inode: UInt64) -> Range<UInt64>? {
        switch form {
        case .ext(let inodes): inodes.place(of: inode)
        case .xfs(let inodes): inodes.place(of: inode)
        }
    }
}

/// fs/ext4/ext4.h: inodes are numbered from 1, as many to each block group, in a table that the group's
/// descriptor names.
private struct ExtInodes {
    let inodesPerGroup: UInt64
    let inodeSize: UInt64
    /// Where each group's table begins, in bytes.
    let tables: [UInt64]

    /// `meta_bg`, by which descriptors lie elsewhere.
    private static let metaGroups: UInt32 = 0x10
    private static let is64Bit: UInt32 = 0x80

    init?(_ device: borrowing OwnedDescriptor) throws(SystemError) {
        let superblock = try ByteFields(device, at: 1024, count: 1024)
        guard superblock.little(UInt16.self, at: 0x38) == 0xEF53,
            let blocksLow = superblock.little(UInt32.self, at: 0x04),
            let firstBlock = superblock.little(UInt32.self, at: 0x14), firstBlock <= 1,
            let blockShift = superblock.little(UInt32.self, at: 0x18), blockShift <= 6,
            let blocksPerGroup = superblock.little(UInt32.self, at: 0x20), blocksPerGroup > 0,
            let inodesPerGroup = superblock.little(UInt32.self, at: 0x28), inodesPerGroup > 0,
            let revision = superblock.little(UInt32.self, at: 0x4C),
            let ownSize = superblock.little(UInt16.self, at: 0x58),
            let incompatible = superblock.little(UInt32.self, at: 0x60),
            let descriptorSize = superblock.little(UInt16.self, at: 0xFE),
            let blocksHigh = superblock.little(UInt32.self, at: 0x150),
            incompatible & Self.metaGroups == 0
        else { return nil }
        let blockSize: UInt64 = 1024 << blockShift
        self.inodesPerGroup = UInt64(inodesPerGroup)
        inodeSize = revision == 0 ? 128 : UInt64(ownSize)
        guard inodeSize.nonzeroBitCount == 1, 128...blockSize ~= inodeSize else { return nil }
        let isWide = incompatible & Self.is64Bit != 0
        let size = isWide ? Int(descriptorSize) : 32
        guard (32...1024).contains(size), !isWide || size >= 64 else { return nil }
        let blocks = UInt64(isWide ? blocksHigh : 0) << 32 | UInt64(blocksLow)
        guard blocks > UInt64(firstBlock), blocks <= (try device.size()).bytes / blockSize else {
            return nil
        }
        let groups = (blocks - UInt64(firstBlock) - 1) / UInt64(blocksPerGroup) + 1
        // Of the largest that there can be with groups of 128 MiB: 128 TiB.
        guard groups <= 1 << 20 else { return nil }
        let descriptors = try ByteFields(
            device, at: UInt64(firstBlock + 1) * blockSize, count: Int(groups) * size)
        var tables: [UInt64] = []
        tables.reserveCapacity(Int(groups))
        for start in stride(from: 0, to: Int(groups) * size, by: size) {
            guard let low = descriptors.little(UInt32.self, at: start + 8),
                let high = isWide ? descriptors.little(UInt32.self, at: start + 0x28) : 0
            else { return nil }
            let table = UInt64(high) << 32 | UInt64(low)
            guard table < blocks else { return nil }
            tables.append(table * blockSize)
        }
        self.tables = tables
    }

    func place(of inode: UInt64) -> Range<UInt64>? {
        guard inode > 0 else { return nil }
        let (group, index) = (inode - 1).quotientAndRemainder(dividingBy: inodesPerGroup)
        guard group < UInt64(tables.count) else { return nil }
        // A table begins below 2^50, and has less than 2^32 inodes of at most 64 KiB.
        let start = tables[Int(group)] + index * inodeSize
        return start..<start + inodeSize
    }
}

/// fs/xfs/libxfs/xfs_format.h: an inode's number is made of its allocation group's, its block's in that
/// group, and its own in that block.
private struct XFSInodes {
    let groups: UInt64
    let groupBlocks: UInt64
    let blockShift: UInt64
    let inodeShift: UInt64
    let groupBlockBits: UInt64

    init?(_ device: borrowing OwnedDescriptor) throws(SystemError) {
        let superblock = try ByteFields(device, at: 0, count: 512)
        guard superblock.has("XFSB", at: 0),
            let groupBlocks = superblock.big(UInt32.self, at: 84), groupBlocks > 0,
            let groups = superblock.big(UInt32.self, at: 88), groups > 0,
            let blockShift = superblock.big(UInt8.self, at: 120), (9...16).contains(blockShift),
            let inodeShift = superblock.big(UInt8.self, at: 122), (8...11).contains(inodeShift),
            let inodesPerBlockBits = superblock.big(UInt8.self, at: 123),
            let groupBlockBits = superblock.big(UInt8.self, at: 124), groupBlockBits <= 32,
            blockShift >= inodeShift, inodesPerBlockBits == blockShift - inodeShift
        else { return nil }
        self.groupBlocks = UInt64(groupBlocks)
        self.groups = UInt64(groups)
        self.blockShift = UInt64(blockShift)
        self.inodeShift = UInt64(inodeShift)
        self.groupBlockBits = UInt64(groupBlockBits)
    }

    func place(of inode: UInt64) -> Range<UInt64>? {
        let inBlockBits = blockShift - inodeShift
        let inBlock = inode & ((1 << inBlockBits) - 1)
        let block = inode >> inBlockBits & ((1 << groupBlockBits) - 1)
        let group = inode >> (inBlockBits + groupBlockBits)
        guard group < groups, block < groupBlocks else { return nil }
        // Both have 32 bits at most, and a block 16: no sum or product overflows 64 by more than is cut off.
        let (blocks, overflow) = group.multipliedReportingOverflow(by: groupBlocks)
        guard !overflow, blocks <= .max >> 18 else { return nil }
        let start = (blocks + block) << blockShift + inBlock << inodeShift
        return start..<start + 1 << inodeShift
    }
}

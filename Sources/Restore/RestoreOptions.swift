/// How a restore goes about it.
public struct RestoreOptions: Hashable, Sendable {
    /// Plan and verify, but write nothing.
    public var dryRun: Bool
    /// Read the target after writing, and compare.
    ///
    /// What the page cache holds comes from there; a target opened for direct I/O is really read.
    public var readBack: Bool
    /// The bytes that are read, checked and written together: 4 KiB and more, in whole 4 KiB.
    public let batchSize: Int

    /// 4 MiB at a time; everything is written and nothing read back, if not told otherwise.
    ///
    /// - Parameters:
    ///   - dryRun: Plan and verify, but write nothing.
    ///   - readBack: Read the target after writing, and compare.
    ///   - batchSize: In bytes; rounded up to whole 4 KiB, so that direct I/O takes it, and cut at
    ///     1 GiB.
    public init(dryRun: Bool = false, readBack: Bool = false, batchSize: Int = 4 << 20) {
        self.dryRun = dryRun
        self.readBack = readBack
        self.batchSize = (min(max(batchSize, 1), 1 << 30) + 4095) & ~4095
    }
}

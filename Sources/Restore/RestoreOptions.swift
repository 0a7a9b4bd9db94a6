/// How a restore goes about it.
public struct RestoreOptions: Hashable, Sendable {
    /// Plan and verify, but write nothing.
    public var dryRun: Bool
    /// Read the target after writing, and compare.
    ///
    /// Where direct I/O works it is really read; else it may come from the page cache.
    public var readBack: Bool
    /// Leave out what can't be read, and put back the rest; else a restore of which something can't
    /// be read is refused before anything is written.
    public var skipDamaged: Bool
    /// The bytes that are read, checked and written together: 4 KiB to 2 MiB, in whole 4 KiB.
    public let batchSize: Int

    /// 512 KiB at a time; everything is written and nothing read back, if not told otherwise.
    ///
    /// - Parameters:
    ///   - dryRun: Plan and verify, but write nothing.
    ///   - readBack: Read the target after writing, and compare.
    ///   - skipDamaged: Leave out what can't be read.
    ///   - batchSize: In bytes; rounded up to whole 4 KiB, so that direct I/O takes it, and cut at
    ///     2 MiB: several batches are in memory at a time.
    public init(
        dryRun: Bool = false, readBack: Bool = false, skipDamaged: Bool = false,
        batchSize: Int = 512 << 10
    ) {
        self.dryRun = dryRun
        self.readBack = readBack
        self.skipDamaged = skipDamaged
        self.batchSize = (min(max(batchSize, 1), 2 << 20) + 4095) & ~4095
    }
}

internal import ExceptionStore
internal import Glibc

/// Has sources fetched from front to back where a plan reads them criss-cross.
///
/// A store has its chunks in the order in which they were first written, a plan reads them in the
/// origin's. Where the cache can hold them all, a disk is asked for them in its own order first.
enum Prefetch {
    /// Extents of this length or more are worth a disk's movement.
    private static let longExtent: UInt64 = 128 << 10
    /// Fetched between two looks at whether to stop.
    private static let step: UInt64 = 8 << 20

    /// Whether a plan's extents are so short that their order matters.
    static func isScattered(_ plan: RestorePlan) -> Bool {
        plan.totals.extents > 1 && plan.totals.bytes / plan.totals.extents < longExtent
    }

    /// Fetches all sources.
    ///
    /// - Returns: false if they are too large, or if it was to stop.
    static func all(of plan: RestorePlan, isCancelled: () -> Bool) -> Bool {
        let ranges = plan.sources.map { stored(in: $0.exceptions) }
        let memory =
            UInt64(max(sysconf(Int32(_SC_PHYS_PAGES)), 0))
            * UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 0))
        var total: UInt64 = 0
        for range in ranges {
            let (sum, overflow) = total.addingReportingOverflow(UInt64(range.count))
            guard !overflow, sum <= memory / 4 else { return false }
            total = sum
        }
        for (source, range) in zip(plan.sources, ranges) {
            var offset = range.lowerBound
            while offset < range.upperBound {
                if isCancelled() { return false }
                let end = min(offset + step, range.upperBound)
                source.prefetch(offset..<end)
                offset = end
            }
        }
        return true
    }

    /// From the first stored chunk to the last.
    private static func stored(in table: ExceptionTable) -> Range<UInt64> {
        var low = UInt64.max
        var high: UInt64 = 0
        for run in table.runs {
            low = min(low, run.storedChunk)
            high = max(high, run.storedChunk + (run.count - 1))
        }
        guard low <= high else { return 0..<0 }
        let shift = UInt64(table.chunkSize.byteShift)
        return low << shift..<(high + 1) << shift
    }
}

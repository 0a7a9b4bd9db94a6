/// A cheap guess whether deflating is worth the time: it takes less than one part in a hundred of
/// deflating's where it is, and one in ten of it where it isn't.
///
/// Contents are taken to be incompressible where their bytes are spread evenly *and* no eight bytes
/// come twice: deflate has only those two things to work with. Random, encrypted and well compressed
/// contents are like that. A wrong "yes" costs time; a wrong "no" costs what deflate would have
/// saved, which an even spread bounds to half a percent.
enum CompressibilityProbe {
    /// One sample of eight bytes in so many. Repeated pages are a multiple of it apart.
    private static let interval = 32
    private static let tableBits: UInt64 = 12
    /// The fewest samples that say anything.
    private static let fewestSamples = 64

    static func isWorthDeflating(_ contents: Span<UInt8>) -> Bool {
        let samples = contents.count / interval
        guard samples >= fewestSamples else { return true }
        // Most of what deflates is so far from even that a few samples show it.
        for step in [32, 4] where !isEven(histogram(of: contents, samples, every: step)) {
            return true
        }
        return hasRepeats(contents, samples)
    }

    /// Whether more than one sample in a hundred comes twice.
    private static func hasRepeats(_ contents: Span<UInt8>, _ samples: Int) -> Bool {
        var table = [UInt64](repeating: 0, count: 1 << Int(tableBits))
        var repeats = 0
        for sample in 0..<samples {
            let word = contents.word(at: sample * interval)
            let slot = Int((word &* 0x9e37_79b9_7f4a_7c15) >> (64 - tableBits))
            if table[slot] == word { repeats += 1 }
            table[slot] = word
        }
        return repeats * 100 > samples
    }

    /// How often each byte comes in one of `step` samples.
    private static func histogram(
        of contents: Span<UInt8>, _ samples: Int, every step: Int
    ) -> [UInt32] {
        var histogram = [UInt32](repeating: 0, count: 256)
        for sample in stride(from: 0, to: samples, by: step) {
            let word = contents.word(at: sample * interval)
            for byte in 0..<8 as Range<UInt64> {
                histogram[Int(truncatingIfNeeded: (word >> (8 * byte)) & 0xff)] += 1
            }
        }
        return histogram
    }

    /// Whether pairs of equal bytes are hardly more frequent than among random ones.
    ///
    /// Of n random bytes the squares of the counts sum up to n + n(n − 1)/256, with a spread of
    /// about n√2/16. The bound is 1/32 above that and four times the spread.
    private static func isEven(_ histogram: [UInt32]) -> Bool {
        var total: UInt64 = 0
        var squares: UInt64 = 0
        for count in histogram {
            total += UInt64(count)
            squares += UInt64(count) * UInt64(count)
        }
        let pairs = total * (total - 1) / 256
        return squares <= total + pairs + pairs / 32 + total * 3 / 8
    }
}

/// A cheap guess whether deflating is worth the time: about 1 % of what deflating takes.
///
/// Contents are taken to be incompressible where their bytes are spread evenly *and* no eight bytes
/// come twice: deflate has only those two things to work with. Random, encrypted and well compressed
/// contents are like that. A wrong "yes" costs time; a wrong "no" costs what deflate would have
/// saved, which an even spread bounds to half a percent.
enum CompressibilityProbe {
    /// One sample of eight bytes in so many. Repeated pages are a multiple of it apart.
    private static let stride = 32
    private static let tableBits: UInt64 = 12
    /// The fewest samples that say anything.
    private static let fewestSamples = 64

    static func isWorthDeflating(_ contents: Span<UInt8>) -> Bool {
        let samples = contents.count / stride
        guard samples >= fewestSamples else { return true }
        var table = [UInt64](repeating: 0, count: 1 << Int(tableBits))
        var histogram = [UInt32](repeating: 0, count: 256)
        var repeats = 0
        for sample in 0..<samples {
            let word = contents.word(at: sample * stride)
            let slot = Int((word &* 0x9e37_79b9_7f4a_7c15) >> (64 - tableBits))
            if table[slot] == word { repeats += 1 }
            table[slot] = word
            if sample & 3 == 0 { count(word, in: &histogram) }
        }
        return repeats * 100 > samples || !isEven(histogram)
    }

    private static func count(_ word: UInt64, in histogram: inout [UInt32]) {
        for byte in 0..<8 as Range<UInt64> {
            histogram[Int(truncatingIfNeeded: (word >> (8 * byte)) & 0xff)] += 1
        }
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

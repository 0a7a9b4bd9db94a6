public import Block
import StoreTesting

/// A logged device, brought from one power cut to the next.
public struct Replay: ~Copyable {
    private let log: WriteLog
    private let file: OwnedDescriptor
    private let seed: UInt64
    private var image: [UInt8]
    private var next = 0

    /// - Parameters:
    ///   - file: the log that `log` was read from.
    ///   - base: the device's bytes when logging began.
    ///   - seed: of what becomes of the writes under way: the same one does the same to the same cut.
    public init(
        _ log: WriteLog, in file: consuming OwnedDescriptor, base: [UInt8], seed: UInt64
    ) {
        self.log = log
        self.file = file
        self.seed = seed
        image = base
    }

    /// The device's bytes after a power cut.
    ///
    /// Cuts are asked for in the log's order: what has been replayed isn't taken back.
    public mutating func image(after cut: PowerCut) throws(SystemError) -> [UInt8] {
        let end = log.durableEnd(of: cut)
        precondition(end >= next, "cuts are asked for in the log's order")
        while next < end {
            let entry = log.entries[next]
            Self.put(try bytes(at: entry.data, entry.target.count), at: entry.target, in: &image)
            next += 1
        }
        var random = SeededGenerator(seed: seed &+ UInt64(cut.point))
        let leftovers = log.leftovers(of: cut, &random)
        if leftovers.isEmpty { return image }
        var copy = image
        for (target, data) in leftovers {
            Self.put(try bytes(at: data, target.count), at: target, in: &copy)
        }
        return copy
    }

    private func bytes(at place: UInt64, _ count: Int) throws(SystemError) -> [UInt8] {
        let bytes = try file.read(count: count, at: place)
        precondition(bytes.count == count, "the log was whole when it was read")
        return bytes
    }

    private static func put(_ bytes: [UInt8], at target: Range<UInt64>, in image: inout [UInt8]) {
        image.replaceSubrange(Int(target.lowerBound)..<Int(target.upperBound), with: bytes)
    }
}

import Block
import Restore
import SystemPackage

/// Makes a file the same as a device, in parts of it.
struct ImageWriter {
    private static let piece: UInt64 = 1 << 20
    /// What is written at least, and left a hole in a new file where it is zeros.
    private static let block = 64 << 10

    /// Ascending, in bytes.
    let ranges: [Range<UInt64>]
    let control: RestoreControl

    private var total: UInt64 { ranges.reduce(0) { $0 + UInt64($1.count) } }

    /// Writes what is different; what is zeros in a file that has a hole there isn't.
    ///
    /// - Returns: how many bytes were written.
    /// - Throws: `CancellationError`, between two pieces.
    func bring(
        _ image: borrowing OwnedDescriptor, to device: borrowing OwnedDescriptor
    ) throws -> UInt64 {
        var written: UInt64 = 0
        try forEachPiece(.writing) { offset, count in
            let wanted = try read(device, offset, count)
            let found = try image.read(count: count, at: offset)
            if found == wanted { return }
            for start in stride(from: 0, to: count, by: Self.block) {
                let block = start..<min(start + Self.block, count)
                if block.upperBound <= found.count, wanted[block] == found[block] { continue }
                try image.write(Array(wanted[block]), at: offset + UInt64(start))
                written += UInt64(block.count)
            }
        }
        return written
    }

    /// Reads both again, the image past the page cache.
    ///
    /// - Returns: where they differ first; nil if they are the same.
    func difference(
        of image: borrowing OwnedDescriptor, from device: borrowing OwnedDescriptor
    ) throws -> UInt64? {
        image.forgetCache()
        var difference: UInt64?
        try forEachPiece(.readingBack) { offset, count in
            guard difference == nil,
                try image.read(count: count, at: offset) != read(device, offset, count)
            else { return }
            difference = offset
        }
        return difference
    }

    private func read(
        _ device: borrowing OwnedDescriptor, _ offset: UInt64, _ count: Int
    ) throws -> [UInt8] {
        let bytes = try device.read(count: count, at: offset)
        guard bytes.count == count else {
            throw SystemError(operation: "read", path: device.path.string, errno: .ioError)
        }
        return bytes
    }

    private func forEachPiece(
        _ phase: RestorePhase, _ body: (_ offset: UInt64, _ count: Int) throws -> Void
    ) throws {
        var done: UInt64 = 0
        for range in ranges {
            for offset in stride(from: range.lowerBound, to: range.upperBound, by: Int(Self.piece))
            {
                if control.isCancelled() { throw CancellationError() }
                let count = min(Self.piece, range.upperBound - offset)
                try body(offset, Int(count))
                done += count
                control.report(
                    RestoreProgress(phase: phase, bytesDone: done, bytesTotal: total))
            }
        }
    }
}

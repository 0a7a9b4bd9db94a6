import Block
import Glibc
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
        let (wanted, found) = unsafe (Self.buffer(), Self.buffer())
        defer {
            unsafe wanted.deallocate()
            unsafe found.deallocate()
        }
        var written: UInt64 = 0
        try forEachPiece(.writing) { offset, count in
            try unsafe read(device, offset, count, into: wanted)
            let there = try unsafe image.read(into: Self.part(found, 0..<count), at: offset)
            for start in stride(from: 0, to: count, by: Self.block) {
                let block = start..<min(start + Self.block, count)
                let new = unsafe Self.part(wanted, block)
                if block.upperBound <= there, unsafe Self.isSame(new, Self.part(found, block)) {
                    continue
                }
                try unsafe image.write(UnsafeRawBufferPointer(new), at: offset + UInt64(start))
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
        let (wanted, found) = unsafe (Self.buffer(), Self.buffer())
        defer {
            unsafe wanted.deallocate()
            unsafe found.deallocate()
        }
        var difference: UInt64?
        try forEachPiece(.readingBack) { offset, count in
            guard difference == nil else { return }
            try unsafe read(device, offset, count, into: wanted)
            let there = try unsafe image.read(into: Self.part(found, 0..<count), at: offset)
            let whole = 0..<count
            guard
                unsafe there != count
                    || !Self.isSame(Self.part(wanted, whole), Self.part(found, whole))
            else { return }
            difference = offset
        }
        return difference
    }

    /// One for all pieces: a page of memory is dear to touch the first time.
    private static func buffer() -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: Int(piece), alignment: 4096)
    }

    private static func part(
        _ buffer: UnsafeMutableRawBufferPointer, _ range: Range<Int>
    ) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[range])
    }

    private static func isSame(
        _ one: UnsafeMutableRawBufferPointer, _ other: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard let start = one.baseAddress, let otherStart = other.baseAddress else {
            return one.count == other.count
        }
        return unsafe one.count == other.count && memcmp(start, otherStart, one.count) == 0
    }

    private func read(
        _ device: borrowing OwnedDescriptor, _ offset: UInt64, _ count: Int,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        guard try unsafe device.read(into: Self.part(buffer, 0..<count), at: offset) == count else {
            throw SystemError(operation: "read", path: device.path.string, errno: .ioError)
        }
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

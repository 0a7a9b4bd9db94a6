internal import CUring
internal import Glibc

/// Reads of plain files, many with one system call.
///
/// Used by one thread at a time.
@safe final class RingReader {
    /// As many as are under way at a time.
    private static let depth: UInt32 = 128

    /// A read, and where its bytes go.
    @safe struct Read {
        var descriptor: Int32
        var offset: UInt64
        var memory: UnsafeMutableRawBufferPointer
    }

    private let ring: OpaquePointer

    /// Nil where the kernel has no io_uring, or none for us.
    init?() {
        guard let ring = unsafe curing_open(Self.depth) else { return nil }
        unsafe self.ring = unsafe ring
    }

    deinit {
        unsafe curing_close(ring)
    }

    /// Makes reads and waits for all of them.
    ///
    /// - Parameters:
    ///   - count: How many there are.
    ///   - read: The read with a number.
    ///   - missed: Called with the number of each that did not give all that it should.
    func perform(_ count: Int, read: (Int) -> Read, missed: (Int) -> Void) {
        var next = 0
        var underWay = 0
        while next < count || underWay > 0 {
            while next < count, underWay < Int(Self.depth), add(read(next), next) {
                next += 1
                underWay += 1
            }
            var tag: UInt64 = 0
            var result: Int32 = 0
            // Submits what was added, too.
            let failure = unsafe curing_wait(ring, &tag, &result)
            guard failure == 0 else {
                // What is under way has to be awaited, so there is no giving up.
                if failure != -EINTR { usleep(1000) }
                continue
            }
            underWay -= 1
            if unsafe Int(result) != read(Int(tag)).memory.count { missed(Int(tag)) }
        }
    }

    private func add(_ read: Read, _ number: Int) -> Bool {
        unsafe curing_add_read(
            ring, read.descriptor, read.memory.baseAddress, UInt32(read.memory.count),
            read.offset, UInt64(number)) == 0
    }
}

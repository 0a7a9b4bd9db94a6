internal import Glibc

/// How an archive is written or verified.
///
/// Neither the threads nor the memory change what is written.
public struct ArchiveOptions: Hashable, Sendable {
    /// The threads that read, compress and decompress; the calling one, which writes, is not
    /// counted.
    public let threads: Int
    /// The most contents that a block has, in bytes; more where a chunk is larger, up to 4 MiB.
    public let blockSize: Int
    /// What is added to the nice value of those threads, 0 to 19. Their I/O gets the priority that
    /// goes with it, unless the process has one of its own.
    public let niceness: Int
    /// The most memory for buffers, in bytes; there are fewer threads where it is not enough.
    public let memory: Int

    /// As many threads as the machine has processors, blocks of 256 KiB, 32 MiB for buffers.
    ///
    /// - Parameters:
    ///   - threads: At least 1; nil for as many as there are processors.
    ///   - blockSize: In bytes; rounded up to a power of two from 4 KiB to 16 MiB.
    ///   - niceness: Cut to 0 to 19.
    ///   - memory: In bytes. At least two blocks are worked on, however little it is.
    public init(
        threads: Int? = nil, blockSize: Int = 256 << 10, niceness: Int = 0,
        memory: Int = 32 << 20
    ) {
        self.threads = min(max(threads ?? sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1), 256)
        let sizes = ArchiveFormat.blockSizes
        var size = sizes.lowerBound
        while size < sizes.upperBound, size < UInt64(clamping: blockSize) { size <<= 1 }
        self.blockSize = Int(size)
        self.niceness = min(max(niceness, 0), 19)
        self.memory = memory
    }

    /// What blocks of this size leave of threads, and how many blocks are worked on at a time.
    func workload(workspaceBytes: Int) -> (threads: Int, workspaces: Int) {
        // Two more than threads, so that none waits while a finished block is being written.
        let workspaces = min(threads + 2, max(2, memory / max(workspaceBytes, 1)))
        return (min(threads, workspaces), workspaces)
    }
}

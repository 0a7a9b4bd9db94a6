internal import ExceptionStore

/// The buffers for one block that is written, and what compresses it.
///
/// It is safe to send: one job at a time has it.
@safe final class Workspace: @unchecked Sendable {
    /// Where contents and payload begin: what is before is for the section's header, so that both
    /// are written at once.
    static let headroom = 64

    /// A block's contents, behind the headroom.
    var contents: [UInt8]
    /// A block's payload, behind the headroom.
    var payload: [UInt8]
    let compressor: Compressor

    /// The bytes of one, roughly.
    static func bytes(blockSize: Int) -> Int { 2 * blockSize + (1 << 20) }

    init(blockSize: Int) throws(ArchiveError) {
        guard let compressor = Compressor() else { throw .noMemory }
        self.compressor = compressor
        contents = [UInt8](repeating: 0, count: Self.headroom + blockSize)
        payload = [UInt8](repeating: 0, count: Self.headroom + blockSize)
    }

    /// As many as a job needs.
    static func make(_ count: Int, blockSize: Int) throws(ArchiveError) -> [Workspace] {
        var workspaces: [Workspace] = []
        for _ in 0..<count { workspaces.append(try Workspace(blockSize: blockSize)) }
        return workspaces
    }

    /// Where contents or a payload of this length are in their buffer.
    static func place(_ length: Int) -> Range<Int> { headroom..<headroom + length }

    /// Whether the first `length` bytes of the contents are zeros.
    func isZero(_ length: Int) -> Bool {
        contents.use(Self.place(length)) { $0.isZero() }
    }

    /// Fills the contents with a slice, without its zero chunks.
    ///
    /// - Parameter length: The slice's length; made shorter by the zero chunks.
    /// - Returns: For every chunk of the slice whether it is zero.
    func load(
        _ slice: UInt64, of slices: SourceSlices, length: inout Int
    ) throws(ArchiveError) -> [Bool] {
        try contents.fill(Self.place(length)) { buffer throws(ArchiveError) in
            try slices.read(slice, into: &buffer)
            return slices.removeZeroChunks(from: &buffer, length: &length)
        }
    }
}

internal import Block

extension ArchiveReader {
    /// How many bytes the archive has.
    package var archiveBytes: UInt64 { file.footer.archiveLength }

    /// Visits the archive's bytes in their order, in pieces of so many, the last one shorter, and checks in
    /// the end that they are those that were written.
    ///
    /// - Parameter visit: called with a piece and where it begins.
    /// - Throws: `ArchiveError`, after the last piece where one of them was damaged; what `visit` throws.
    package func forEachPiece(bytes: Int, _ visit: (UInt64, [UInt8]) throws -> Void) throws {
        let end = archiveBytes - UInt64(ArchiveFooter.size)
        var checksum = CRC32.empty
        var offset: UInt64 = 0
        while offset < archiveBytes {
            let count = min(UInt64(bytes), archiveBytes - offset)
            let piece: [UInt8]
            do {
                piece = try file.descriptor.read(count: Int(count), at: offset)
            } catch {
                throw ArchiveError.system(error)
            }
            guard piece.count == Int(count) else {
                throw ArchiveError.damaged(.whole, .missing)
            }
            // The footer has a checksum of its own.
            let summed = piece.prefix(Int(min(count, end - min(end, offset))))
            checksum = CRC32.joining(
                checksum, CRC32.of(summed), length: UInt64(summed.count))
            try visit(offset, piece)
            offset += count
        }
        guard checksum == file.footer.archiveChecksum else {
            throw ArchiveError.damaged(.whole, .checksum)
        }
    }
}

internal import Block
internal import ExceptionStore
public import SystemPackage

/// Archives that can only be read from front to back.
public enum ArchiveStream {
    /// Reads an archive to its end and checks everything about it, blocks and index against each
    /// other included.
    ///
    /// Memory doesn't depend on what the archive says. It stops at the first fault: without an
    /// index, which comes last, nothing tells where a damaged block ends.
    ///
    /// - Parameters:
    ///   - descriptor: The archive; a pipe will do. It is read until it ends.
    ///   - path: What it is called in messages.
    ///   - control: Events, with a total of 0 since it isn't known, and the wish to stop.
    /// - Returns: What the archive holds.
    /// - Throws: `system`, what is wrong with the archive, `cancelled`.
    @discardableResult
    public static func verify(
        _ descriptor: FileDescriptor, path: FilePath = "archive",
        control: ArchiveControl = ArchiveControl()
    ) throws(ArchiveError) -> ArchiveSummary {
        var check = try StreamCheck(StreamInput(descriptor, path: path))
        var progress = try control.begin(.verifying, total: 0)
        while true {
            try progress.advance(by: check.offset - progress.done)
            if let footer = try check.next() { return ArchiveSummary(footer) }
        }
    }
}

internal import Block
public import ExceptionStore
internal import Glibc
public import SystemPackage

/// Archives as files: made whole or not at all.
public enum ArchiveFiles {
    /// What is behind the name of an archive that is still being made.
    public static let temporarySuffix = ".new"

    /// Makes an archive of everything that the source has.
    ///
    /// It is written to a temporary name in the same directory (0600), put on stable storage, read
    /// back and compared with the source; only then does it get its name, in place of whatever has
    /// it. After any error nothing is left; after a crash the temporary file may be, and the next
    /// call removes it. The source is only read: to give it up is the caller's act. One caller at
    /// a time may make an archive of one name.
    ///
    /// - Parameters:
    ///   - source: Where the chunks come from.
    ///   - metadata: Whatever the caller wants to find in the archive again, JSON by convention;
    ///     up to 1 MiB.
    ///   - path: The archive's name.
    ///   - options: How to go about it.
    ///   - control: Events, and the wish to stop.
    /// - Returns: What the archive holds.
    /// - Throws: `ArchiveError`.
    @discardableResult
    public static func create(
        source: any ChunkSource, metadata: String, at path: FilePath,
        options: ArchiveOptions = ArchiveOptions(), control: ArchiveControl = ArchiveControl()
    ) throws(ArchiveError) -> ArchiveSummary {
        let temporary = path.appendingSuffix(temporarySuffix)
        let file: OwnedDescriptor
        do {
            if Files.exists(temporary) { try Files.remove(temporary) }
            file = try OwnedDescriptor.create(temporary)
        } catch {
            throw .system(error)
        }
        do {
            let summary = try fill(
                file, source: source, metadata: metadata, options: options, control: control)
            try verify(
                temporary, source: source, metadata: metadata, options: options, control: control)
            try publish(temporary, as: path)
            return summary
        } catch {
            // The first error is the one to report.
            try? Files.remove(temporary)
            throw error
        }
    }

    private static func fill(
        _ file: borrowing OwnedDescriptor, source: any ChunkSource, metadata: String,
        options: ArchiveOptions, control: ArchiveControl
    ) throws(ArchiveError) -> ArchiveSummary {
        let summary = try ArchiveWriter.write(
            source, metadata: metadata, to: file.descriptor, path: file.path, options: options,
            control: control)
        var progress = try control.begin(.synchronizing, total: summary.size.bytes)
        do {
            try file.synchronize()
        } catch {
            throw .system(error)
        }
        // So that reading back reads what is stored, not what is in memory.
        file.forgetCache()
        try progress.advance(by: summary.size.bytes)
        return summary
    }

    private static func verify(
        _ path: FilePath, source: any ChunkSource, metadata: String, options: ArchiveOptions,
        control: ArchiveControl
    ) throws(ArchiveError) {
        let file = try ArchiveFile(ArchiveFile.open(path), memoryLimit: .max)
        try ReadBack(file, source, metadata: metadata, options: options).run(control)
    }

    private static func publish(
        _ temporary: FilePath, as path: FilePath
    ) throws(ArchiveError) {
        do {
            try Files.rename(temporary, to: path)
            try Files.synchronizeDirectory(path.removingLastComponent())
        } catch {
            throw .system(error)
        }
    }
}

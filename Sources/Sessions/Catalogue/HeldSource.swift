import Block
import ExceptionStore
import SystemPackage

/// A session's chunks, and the session held for as long as somebody has them: it is not deleted under
/// whoever restores, verifies or looks into it.
final class HeldSource: ChunkSource {
    private let source: any ChunkSource
    private let hold: DirectoryLock

    init(_ source: any ChunkSource, _ hold: consuming DirectoryLock) {
        self.source = source
        self.hold = hold
    }

    /// The same, and the session may go meanwhile: what is open can be read until it is closed.
    var released: any ChunkSource { source }

    var path: FilePath { source.path }
    var exceptions: ExceptionTable { source.exceptions }
    var plainDescriptor: Int32 { source.plainDescriptor }
    var descriptors: [Int32] { source.descriptors }

    func read(
        into buffer: inout MutableSpan<UInt8>, at storedOffset: UInt64
    ) throws(ChunkReadError) {
        try source.read(into: &buffer, at: storedOffset)
    }

    func prefetch(_ stored: Range<UInt64>) { source.prefetch(stored) }
}

extension Catalogue {
    /// Runs `body` while the session is in use.
    func holding<Result>(_ session: Session, _ body: () throws -> Result) throws -> Result {
        guard let lock = try hold(session) else { return try body() }
        return try lock.holding(body)
    }

    /// Says that a session's files are in use, for as long as the lock is there.
    ///
    /// - Returns: nil where there is nothing to say: nothing of ours is deleted there.
    /// - Throws: `busy` while it is being deleted; `noSuchSession` once it is gone.
    func hold(_ session: Session) throws(SessionsError) -> DirectoryLock? {
        guard session.archive == nil, !session.isForeign else { return nil }
        let lock: DirectoryLock?
        do {
            lock = try DirectoryLock.takeIfFree(session.directory, alone: false)
        } catch {
            if error.errno == .noSuchFileOrDirectory {
                throw .noSuchSession(session.record.name.text)
            }
            throw .system(error)
        }
        guard let lock else {
            throw .busy(
                device: "session \(session.record.name)", reason: "it is being deleted",
                advice: "see `dmsnap sessions` for what there is")
        }
        return lock
    }
}

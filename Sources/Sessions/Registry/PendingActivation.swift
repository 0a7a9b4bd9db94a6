public import Block
import ExceptionStore
import SystemPackage

/// A device that is in use, and is activated as soon as it isn't any more.
public struct PendingActivation: Hashable, Sendable, Codable {
    /// As it was asked for, absolute: a link from /dev/disk is to lead to the device after a boot, too.
    public let path: ByteText
    /// Whether it is a block device or an image file.
    public let kind: Activation.Kind
    /// What it is: another thing that has its name by then is left alone.
    let identity: SourceIdentity
    /// Of its stores, in bytes; the configuration's if nil.
    public let chunkSize: ByteCount?
    /// The sessions' base directory; the configuration's if nil.
    let directory: ByteText?
    /// Whether its stores are in memory; nil as false, which earlier ones don't have.
    let isInMemory: Bool?
    /// Nil to capture; else under an overlay, and when what is written is given up.
    let overlay: RestoreAt?
    /// Of one that captures: when it is put back by itself; nil as never.
    let putBackAt: RestoreAt?
    /// How many of the times that it was put back can be undone; nil as none.
    let keep: Int?

    /// Where its stores are to be.
    var place: ActivationRequest.Place {
        isInMemory == true ? .memory : directory.map { .directory($0.path) } ?? .configured
    }

    /// How it was asked for.
    func request() throws -> ActivationRequest {
        ActivationRequest(
            overlay.map { .overlay($0) } ?? .capture, putBackAt: putBackAt, keep: keep,
            chunkSize: try chunkSize.map { try ChunkSize($0) }, place: place)
    }

    /// Whether a path leads to the same.
    func isAt(_ other: FilePath) -> Bool {
        guard let own = try? Files.resolve(path.path), let other = try? Files.resolve(other) else {
            return path == ByteText(other)
        }
        return own == other
    }

    /// Whether this is what waits. A mount may change labels and more, so of the contents only the UUID
    /// counts.
    func means(_ found: SourceIdentity) -> Bool {
        identity.hardware == found.hardware && identity.inode == found.inode
            && identity.fileSystemUUID == found.fileSystemUUID
            && identity.contents.uuid == found.contents.uuid
            && identity.contents.partitionUUID == found.contents.partitionUUID
    }
}

internal import Block
internal import SystemPackage

extension RestoreError: CustomStringConvertible {
    /// One line for a person: what happened, and what state the target is in.
    public var description: String {
        let state =
            targetTouched
            ? "\(bytesWritten) bytes were written; run the restore again to complete it"
            : "nothing was written"
        return "\(reason); \(state)"
    }
}

extension RestoreError.Reason: CustomStringConvertible {
    /// What happened, in one line.
    public var description: String {
        switch self {
        case .noSources:
            "there is nothing to restore from"
        case .originSizesDiffer(let source, let found, let oldest):
            """
            \(source) is about a device of \(found.bytes) bytes, \
            the oldest one about a device of \(oldest.bytes)
            """
        case .targetSizeDiffers(let target, let origin):
            "the target has \(target.bytes) bytes, the origin had \(origin.bytes)"
        case .targetSizeUnknown(let error):
            "the target's size is unknown: \(error)"
        case .damaged(let damage):
            "\(damage)"
        case .source(let source, let range, let offset, let error):
            "\(source) can't be read at \(offset), for \(range): \(error)"
        case .changedSinceVerified(let range, let sources):
            """
            the contents for \(range) changed after they were verified, in \
            \(sources.map(\.description).joined(separator: " or "))
            """
        case .target(let range, let error):
            "the target failed at \(range): \(error)"
        case .targetEnded(let range):
            "the target ends inside \(range)"
        case .targetNotSynchronized(let error):
            "the target didn't confirm what was written: \(error)"
        case .readBackDiffers(let range):
            "the target doesn't hold what was written to \(range)"
        case .unpacking(let path, let error):
            "the old contents can't be unpacked to \(path): \(error)"
        case .unpackedDiffers(let path):
            "\(path) doesn't hold what was unpacked to it"
        case .cancelled(let phase, let done, let total):
            "stopped on request while \(phase): \(done) of \(total) bytes"
        }
    }
}

extension SourceName: CustomStringConvertible {
    /// The path.
    public var description: String { path.string }
}

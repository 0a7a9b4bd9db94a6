public import Block
public import ExceptionStore
public import SystemPackage

/// Why a restore stopped, and how much of it was done by then.
///
/// A restore that stopped can be run again: the sources are as they were.
public struct RestoreError: Error, Sendable {
    /// What happened.
    public let reason: Reason
    /// The bytes whose writes had ended; 0 with `targetTouched` false means nothing was written.
    public let bytesWritten: UInt64
    /// Whether a write to the target had begun, so that its contents are neither old nor new.
    public let targetTouched: Bool

    init(_ reason: Reason, bytesWritten: UInt64 = 0, targetTouched: Bool = false) {
        self.reason = reason
        self.bytesWritten = bytesWritten
        self.targetTouched = targetTouched
    }

    /// What happened.
    public enum Reason: Error, Sendable {
        /// There is nothing to restore from.
        case noSources
        /// A source is about an origin of another size than the oldest source is.
        case originSizesDiffer(SourceName, found: ByteCount, oldest: ByteCount)
        /// The target is not as large as the origin was.
        case targetSizeDiffers(target: ByteCount, origin: ByteCount)
        /// The target's size could not be found out.
        case targetSizeUnknown(SystemError)
        /// Some of what was to be put back can't be read; nothing was written.
        case damaged(Damage)
        /// What was verified can't be read again: of a source, this range, at this offset in it.
        case source(SourceName, ByteRange, storedOffset: UInt64, ChunkReadError)
        /// Bytes read for writing are not those read for verifying; these sources have them.
        case changedSinceVerified(ByteRange, [SourceName])
        /// The target failed a read or a write of this range.
        case target(ByteRange, SystemError)
        /// The target ended inside this range.
        case targetEnded(ByteRange)
        /// The target could not put what was written on stable storage.
        case targetNotSynchronized(SystemError)
        /// What was read back from this range is not what was written.
        case readBackDiffers(ByteRange)
        /// The old contents could not be unpacked into this exception store.
        case unpacking(FilePath, ExceptionStoreError)
        /// The exception store does not hold what was unpacked into it.
        case unpackedDiffers(FilePath)
        /// The caller asked to stop; `done` of `total` bytes of the phase were done.
        case cancelled(RestorePhase, done: UInt64, total: UInt64)
    }
}

/// Which of a plan's sources is meant.
public struct SourceName: Hashable, Sendable {
    /// Its index in the plan, 0 being the oldest.
    public let index: Int
    /// Its file or device.
    public let path: FilePath
}

import Block
import DeviceMapper
import SystemPackage

/// sysexits.h's codes, as the contract uses them.
public enum ExitStatus: Int32, Sendable {
    case success = 0
    case usage = 64
    case damaged = 65
    case noInput = 66
    case noDeviceMapper = 69
    case software = 70
    case ioError = 74
    case busy = 75
    case denied = 77
}

extension SessionsError {
    /// The one table from errors to exit status; the C library's codes are these, negated.
    public var exitStatus: ExitStatus {
        switch self {
        case .unsuitable, .configuration, .ambiguousLabel: .usage
        case .noSuchDevice, .notActivated, .noSuchSession, .noSuchGroup, .noSuchFile,
            .missingDirectory:
            .noInput
        case .busy: .busy
        case .invalidSession, .damagedRecord, .damagedStore, .damagedView, .damagedChunks,
            .brokenChain, .otherDevice, .notRestored, .changedMeanwhile, .notDeletable:
            .damaged
        case .notRoot, .noPassword, .wrongPassword, .passfile: .denied
        case .noDeviceMapper: .noDeviceMapper
        case .interrupted, .restoreFailed, .commitFailed, .archiveFailed, .archiveStopped, .monitor,
            .noRoom, .notCopied:
            .ioError
        case .deviceMapper(let error): error.errno == .resourceBusy ? .busy : .ioError
        case .system(let error) where error.refusal != nil: .usage
        case .system(let error):
            switch error.errno {
            case .noSuchFileOrDirectory, .noSuchAddressOrDevice: .noInput
            case .permissionDenied, .notPermitted: .denied
            case .resourceBusy: .busy
            default: .ioError
            }
        case .rollback(let cause, _): cause.exitStatus
        case .transfer(let failure): failure.isDamage ? .damaged : .ioError
        case .internalFault: .software
        }
    }
}

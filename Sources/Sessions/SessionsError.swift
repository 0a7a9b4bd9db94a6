public import Block
public import DeviceMapper
internal import SystemPackage

/// Everything that the domain refuses or fails with. Each message names the thing, says what is
/// wrong, and what to do.
public enum SessionsError: Error, Sendable {
    /// The device, image or argument can't be used at all.
    case unsuitable(device: String, reason: String)
    /// There is no such block device or file.
    case noSuchDevice(String)
    /// The device exists but is not activated.
    case notActivated(String)
    /// There is no such session.
    case noSuchSession(String)
    /// No group of devices has this name.
    case noSuchGroup(String)
    /// There is no such file in the device's file system at that time.
    case noSuchFile(path: String, session: String)
    /// Not everything was copied; the program that did it has said why.
    case notCopied(destination: String)
    /// Several sessions have this label.
    case ambiguousLabel(String, sessions: [SessionName])
    /// The session can't be deleted as things are.
    case notDeletable(session: String, reason: String)
    /// What an activation captured isn't where the registry says, as where a file system isn't mounted.
    case missingDirectory(device: String, directory: String)
    /// Somebody uses the device, or a session of it is open.
    case busy(device: String, reason: String, advice: String)
    /// There is too little room for what a device would be protected by.
    case noRoom(device: String, reason: String)
    /// The session can't be restored from.
    case invalidSession(session: String, reason: String)
    /// A file of ours doesn't parse.
    case damagedRecord(path: String, reason: String)
    /// A session's archive could not be made; its store is as it was.
    case archiveFailed(session: String, reason: String)
    /// Making an archive was stopped; its store is as it was.
    case archiveStopped(session: String)
    /// A session's store or archive is damaged.
    case damagedStore(session: String, reason: String)
    /// Something that is looked at needs a part of a session's data that is damaged.
    case damagedView(session: String, reason: String)
    /// Some of a session's data is damaged or can't be read, and the rest can be restored without it.
    case damagedChunks(session: String, reason: String)
    /// The device isn't as the chain's last session left it.
    case brokenChain(device: String, session: String, reason: String)
    /// Everything was written, and the device isn't what it was.
    case notRestored(device: String, session: String, detail: String)
    /// A device that nobody should have written to isn't what it was.
    case changedMeanwhile(device: String)
    /// The session's device, by its name, is another one than was activated.
    case otherDevice(device: String, session: String)
    /// Only root may.
    case notRoot(String)
    /// The service has no password yet.
    case noPassword
    /// The password is another one.
    case wrongPassword
    /// The password file can't be used.
    case passfile(path: String, reason: String)
    /// The configuration file says something that can't be.
    case configuration(path: String, reason: String)
    /// There is no device-mapper, or no snapshot target, on this machine.
    case noDeviceMapper(String)
    /// The monitor can't be started.
    case monitor(String)
    /// A restore was stopped before its end.
    case interrupted(session: String, device: String, detail: String, advice: String)
    /// A device-mapper operation failed.
    case deviceMapper(DeviceMapperError)
    /// A system call failed.
    case system(SystemError)
    /// Reading a store or writing a device failed in a restore.
    case restoreFailed(session: String, device: String, reason: String)
    /// What was written elsewhere in a device's place could not be put on it, or not all of it.
    case commitFailed(device: String, reason: String)
    /// A step failed, and undoing those before it did as well.
    indirect case rollback(cause: SessionsError, failures: [String])
    /// Sessions could not be sent, or not be received.
    case transfer(TransferFailure)
    /// What can't happen.
    case internalFault(String)
}

extension SessionsError {
    /// A device was set read-only, and is to be written.
    static func setReadOnly(_ device: String) -> SessionsError {
        .unsuitable(
            device: device,
            reason: "it is set read-only; run `blockdev --setrw` on it to have it written")
    }
}

extension SessionsError: CustomStringConvertible {
    /// One line for the user.
    public var description: String {
        switch self {
        case .unsuitable(let device, let reason):
            "\(device): \(reason)"
        case .noSuchDevice(let device):
            "\(device): no such block device or image file; check the name with lsblk"
        case .notActivated(let device):
            "\(device): not activated; see `dmsnap status` for what is"
        case .noSuchGroup(let group):
            "\(group): no such group; see `dmsnap status` for what there is"
        case .noSuchSession(let session):
            "\(session): no such session; see `dmsnap sessions` for what there is"
        case .noSuchFile(let path, let session):
            "\(path): there was no such file before session \(session); paths begin at the root of the "
                + "device's file system, and `dmsnap browse` shows what is there"
        case .notCopied(let destination):
            "\(destination): not everything was copied; cp has said why"
        case .ambiguousLabel(let label, let sessions):
            "\(label): several sessions have this label: "
                + sessions.map(\.description).joined(separator: ", ") + "; name one of them"
        case .notDeletable(let session, let reason):
            "session \(session) can't be deleted: \(reason)"
        case .missingDirectory(let device, let directory):
            "\(device): \(directory), with what was captured, isn't there; mount the file system that "
                + "holds it, or, if that is gone for good, make an empty directory of that name"
        case .busy(let device, let reason, let advice):
            "\(device): \(reason); \(advice)"
        case .noRoom(let device, let reason):
            "\(device): \(reason); make room there, or activate with another --store-dir"
        case .invalidSession(let session, let reason):
            "session \(session): \(reason); it can't be restored from"
        case .damagedRecord(let path, let reason):
            "\(path): \(reason); put it back from a backup, or move it away to go on without it"
        case .damagedStore(let session, let reason):
            "session \(session): its data is damaged: \(reason); nothing was written"
        case .damagedView(let session, let reason):
            "session \(session): some of its data is damaged, and this takes it: \(reason); what lies "
                + "elsewhere can be looked at"
        case .damagedChunks(let session, let reason):
            "session \(session): its data is damaged: \(reason); nothing was written; "
                + "`dmsnap restore --skip-damaged` restores the rest"
        case .brokenChain(let device, let session, let reason):
            "\(device): \(reason), so session \(session) would not make it what it was; "
                + "nothing was written; give --accept-writes to go on all the same"
        case .otherDevice(let device, let session):
            "\(device): it is another one than was activated, so session \(session) is not its own; "
                + "nothing was written; name the right one with --device, or give --other-device to "
                + "take this one all the same"
        case .notRestored(let device, let session, let detail):
            "\(device): it is NOT what it was before session \(session): \(detail)"
        case .changedMeanwhile(let device):
            "\(device): it is NOT what it was before the command, which can't write to it: something else "
                + "has; find out what, and restore the device from a session or a backup"
        case .notRoot(let action):
            "only root may \(action); try it with sudo"
        case .noPassword:
            "the service has no password yet; set one with `dmsnap passwd`"
        case .wrongPassword:
            "wrong password; give the service's own one, set with `dmsnap passwd`"
        case .passfile(let path, let reason):
            "password file \(path): \(reason)"
        case .configuration(let path, let reason):
            "\(path): \(reason); mend it, or move it away to use the defaults"
        case .noDeviceMapper(let reason):
            "no device-mapper snapshots on this machine: \(reason); "
                + "load the kernel's modules with `modprobe dm-snapshot`, as root"
        case .monitor(let reason):
            "dmsnap monitor could not be started, so no mount would be noticed: \(reason)"
        case .interrupted(let session, let device, let detail, let advice):
            "\(device): restoring session \(session) was stopped: \(detail); \(advice)"
        case .deviceMapper(let error) where error.operation == .udev:
            "udev didn't answer within half a minute: see whether it runs, and what it is at "
                + "(`systemctl status systemd-udevd`); then give the same command again"
        case .deviceMapper(let error):
            "\(error); see the kernel's log (dmesg) for its reason"
        case .system(let error):
            "\(error)"
        case .archiveFailed(let session, let reason):
            "session \(session): its archive could not be made: \(reason); its store is kept"
        case .archiveStopped(let session):
            "session \(session): making its archive was stopped; its store is kept"
        case .restoreFailed(let session, let device, let reason):
            "\(device): restoring session \(session) failed: \(reason)"
        case .commitFailed(let device, let reason):
            "\(device): committing what was written failed: \(reason)"
        case .rollback(let cause, let failures):
            "\(cause); undoing what had been done failed, too: "
                + failures.joined(separator: "; ")
        case .transfer(let failure):
            "\(failure)"
        case .internalFault(let what):
            "this is a fault of dmsnap: \(what); please report it"
        }
    }
}

extension SessionsError {
    /// Brings what the modules below throw into this one; what is unknown is a fault.
    static func from(_ error: any Error) -> SessionsError {
        switch error {
        case let error as SessionsError: error
        case let error as SystemError: .system(error)
        // Asked once, before everything else.
        case let error as DeviceMapperError where error.operation == .version:
            .noDeviceMapper("\(error)")
        case let error as DeviceMapperError: .deviceMapper(error)
        case let error as ResumeFailure:
            .rollback(cause: from(error.cause), failures: ["\(error.resume)"])
        default: .internalFault("\(error)")
        }
    }
}

/// Runs `body`, and brings whatever it throws into `SessionsError`.
func asSessionsError<Result>(_ body: () throws -> Result) throws(SessionsError) -> Result {
    do {
        return try body()
    } catch {
        throw .from(error)
    }
}

/// What has been done so far, and how each step is undone: last first, when a later step fails.
struct Undo {
    private var steps: [(what: String, action: () throws -> Void)] = []

    /// - Parameter what: the undoing, for the message if it fails: `detaching /dev/loop0`.
    mutating func add(_ what: String, _ action: @escaping () throws -> Void) {
        steps.append((what, action))
    }

    /// Undoes everything; an undoing that fails doesn't keep the others from being tried, and never
    /// hides the cause.
    consuming func run(after cause: any Error) -> SessionsError {
        var failures: [String] = []
        for step in steps.reversed() {
            do {
                try step.action()
            } catch {
                failures.append("\(step.what): \(error)")
            }
        }
        let cause = SessionsError.from(cause)
        return failures.isEmpty ? cause : .rollback(cause: cause, failures: failures)
    }
}

public import Block
internal import DeviceMapper
internal import ExceptionStore
public import SystemPackage

/// A device as it was, as a block device of its own, to be looked into.
///
/// It is there as long as this value, or a mount of it: then the kernel takes it away, and all that it
/// took. So nothing is left of it by whatever ends the program that made it.
public final class View: Sendable {
    /// When.
    public enum Moment: Sendable {
        /// As a session's mount found it.
        case beginning
        /// As it is now.
        case now
    }

    /// The state of a device that a view was made over: two that are equal are of the same contents.
    struct Ground: Equatable {
        /// The activation, or what a device that isn't activated is: a path.
        let device: ByteText
        /// The store that captures what is written, and how many chunks it had; nil where nobody writes.
        let store: Int?
        let taken: UInt64?

        /// Whether the store doesn't say.
        var isUnknown: Bool { store != nil && taken == nil }
    }

    /// Its node. What is written to it is gone with it, so that a file system can recover its journal.
    public let device: FilePath
    /// What libblkid finds on it.
    public let contents: Contents
    /// What can't be known and has to be true, as ends of a sentence: "it is what it was, if …".
    public let conditions: [String]
    /// What stood against showing it, and was lifted by the request.
    public let overridden: [String]
    let moment: Moment
    let ground: Ground
    /// What it has in place of what the ground has; nil if nothing.
    let past: ExceptionTable?
    /// What this process decompresses as the view is read: it has to stay as long as the view.
    let served: ServedFile?
    /// Keeps it from going.
    let passing: PassingDevice

    init(
        _ passing: PassingDevice, of moment: Moment, over ground: Ground, past: ExceptionTable?,
        served: ServedFile?, contents: Contents, conditions: [String], overridden: [String]
    ) {
        self.moment = moment
        self.ground = ground
        self.past = past
        self.served = served
        served?.release()
        self.conditions = conditions
        self.overridden = overridden
        device = passing.path
        self.contents = contents
        self.passing = passing
    }

    /// Why something of it could not be read, of what somebody has tried; nil if all could.
    public var damage: String? { served?.failure.map { "\($0)" } }

    /// Whether it is there no longer than this process.
    public var needsProcess: Bool { served != nil }

    /// Lets go of it, and returns when nobody uses it any more.
    public func serveUntilUnused() {
        passing.release()
        served?.finish()
    }

    /// Mounts what is on it in no directory yet.
    ///
    /// - Parameter isWritable: what is written is gone with the view.
    /// - Throws: `unsuitable` where there is no file system, or the kernel refuses it.
    public func mounted(isWritable: Bool = false) throws(SessionsError) -> DetachedMount {
        guard let type = contents.type, contents.usage == "filesystem" else {
            throw .unsuitable(
                device: device.string,
                reason: "there is no file system on it to look into"
                    + (contents.type.map { ", but \($0)" } ?? ""))
        }
        if type == "btrfs" { try renameFileSystem() }
        do {
            return try DetachedMount(
                of: device, type: type, options: Self.options(mounting: type),
                isWritable: isWritable)
        } catch {
            throw .unsuitable(
                device: device.string, reason: "its \(type) can't be mounted: \(error)")
        }
    }

    /// The kernel knows a btrfs by its UUID, and never mounts a second one of the same: in the superblocks
    /// of the view, which are thrown away with it, it gets another.
    private func renameFileSystem() throws(SessionsError) {
        try tune(
            [], ["-m"],
            "given another UUID, without which it can't be mounted beside the other; one on several devices "
                + "can't be looked into")
    }

    /// What was written to the view is to go to the device, under the device's own UUID.
    func restoreFileSystemName() throws(SessionsError) {
        guard contents.type == "btrfs", let uuid = contents.uuid else { return }
        // btrfstune takes no UUID that libblkid finds somewhere, and it finds the device itself: so no device is
        // there, in a mount namespace of its own.
        let hidden =
            "mount -t tmpfs none /sys/block && mount --bind /dev/null /proc/partitions && "
            + "BLKID_FILE=/dev/null exec \"$@\""
        try tune(
            ["/usr/bin/unshare", "-m", "/bin/sh", "-c", hidden, "sh"], ["-M", uuid],
            "given its own UUID again; nothing was written to it")
    }

    private func tune(
        _ runner: [String], _ options: [String], _ what: String
    ) throws(SessionsError) {
        let program = "/bin/btrfstune"
        guard Files.exists(FilePath(program)) else {
            throw .unsuitable(
                device: device.string,
                reason: "looking into a btrfs takes btrfstune; install btrfs-progs")
        }
        do {
            let status = try Program.run(
                runner + [program, "-f"] + options + [device.string], isSilent: true)
            guard status == 0 else {
                throw SessionsError.unsuitable(
                    device: device.string,
                    reason: "btrfstune ended with \(status): its btrfs can't be \(what)")
            }
        } catch {
            throw .from(error)
        }
    }

    /// XFS refuses a second file system of one UUID.
    private static func options(mounting type: String) -> [String] {
        type == "xfs" ? ["nouuid"] : []
    }
}

/// The names of one view's parts. The view is a snapshot of a snapshot of a snapshot: at the bottom is one
/// of the device itself, made now, which the kernel keeps as it is while the device goes on; over it is the
/// device as it was, in a store put together of the chain's, which nobody writes to; at the top is one that
/// takes what is written to the view.
struct ViewNames {
    /// Random.
    let id: String
    /// The activation, or what stands for it where the device isn't activated.
    let owner: String

    init(owner: String) {
        id = String((0..<12).map { _ in "0123456789abcdef".randomElement() ?? "0" })
        self.owner = owner
    }

    func callAsFunction(
        _ part: MapperNames.ViewPart
    ) throws(SessionsError) -> (name: DeviceName, uuid: DeviceUUID) {
        try MapperNames.view(id, of: owner, part: part)
    }

    /// Where its stores are made, until they have no name any more.
    func directory(in base: FilePath) -> FilePath {
        Layout.views(in: base).appending(id)
    }
}

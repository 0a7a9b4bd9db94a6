public import Block
public import DeviceMapper
public import FoundationEssentials
public import SystemPackage

/// Everything that the domain asks of the kernel, so that its rules can be tested against a
/// simulated one.
public protocol Kernel: Sendable {
    /// Device-mapper.
    var deviceMapper: any DeviceMapping { get }

    /// The nodes of all block devices, partitions included.
    func blockDevices() -> [FilePath]
    /// The UUID of the file system that a path is in, if a block device holds it.
    func fileSystemUUID(holding path: FilePath) -> String?
    /// What stat(2) says of a path that may be a block device's.
    func status(_ path: FilePath) throws(SystemError) -> FileStatus
    /// Opens a device or an image to read or write its contents.
    ///
    /// - Parameter exclusive: with the kernel's claim on a block device.
    func open(
        _ path: FilePath, _ access: OwnedDescriptor.Access, exclusive: Bool
    ) throws(SystemError) -> OwnedDescriptor
    /// The block device at a path.
    func blockDevice(_ path: FilePath) throws(SystemError) -> BlockDevice
    /// Takes and gives back the kernel's claim on a block device: EBUSY if it is mounted, swapped
    /// on, or under another device.
    func claim(_ path: FilePath) throws(SystemError)
    /// What libblkid finds on a device or in a file.
    func contents(_ path: FilePath) throws(SystemError) -> Contents
    /// Whether the file system on a device was unmounted properly.
    func condition(of path: FilePath) throws(SystemError) -> FileSystemCondition
    /// When its file system says that it was last checked, in seconds since 1970; nil where it keeps no
    /// such note.
    func lastCheck(of path: FilePath) throws(SystemError) -> UInt64?
    /// The fingerprint of what the device itself holds, past any page cache.
    ///
    /// - Parameter samples: whether blocks all over the device are part of it; without them it is
    ///   quick enough for a suspend.
    /// - Parameter expected: what was found on it a moment ago, if it is known: with that it is quick, too.
    func fingerprint(
        _ path: FilePath, samples: Bool, expecting expected: Contents?
    ) throws(SystemError) -> Fingerprint
    /// Has the kernel forget that it has seen a btrfs on a device, or on what an image was attached to, unless that
    /// is mounted: it would not mount what was put back.
    func forgetBtrfs(on path: FilePath)
    /// Has the kernel look for a btrfs on a device, whose other devices may be waiting for it.
    func scanBtrfs(on path: FilePath)
    /// Returns when everything written to a device or file is on stable storage, a disk's own cache
    /// included. Nobody else need have asked for that: neither vfat's unmount nor dd does.
    func synchronize(_ path: FilePath) throws(SystemError)
    /// Returns when everything written to the file system that a directory is in is on its device.
    func synchronizeFileSystem(of directory: FilePath) throws(SystemError)
    /// Whether a block device of this number is there: one that was pulled out isn't, though a table
    /// lies over it still.
    func exists(_ number: DeviceNumber) -> Bool
    /// How large a block device is now, asked without opening it; nil if it isn't there.
    func size(of number: DeviceNumber) -> ByteCount?
    /// What is free in the file system that holds a path, to whoever has no right to the rest, and its
    /// size.
    func freeSpace(_ path: FilePath) throws(SystemError) -> (free: ByteCount, size: ByteCount)
    /// Whether the file system that holds a path is in memory, and gone after a boot.
    func isInMemory(_ path: FilePath) throws(SystemError) -> Bool
    /// What programs and the kernel can still have of the machine's memory; nil if nobody knows.
    func availableMemory() -> ByteCount?
    /// How many open files of programs are this device, if none of them can be written to; nil if one can, or
    /// nobody knows.
    func readers(of number: DeviceNumber) -> Int?
    /// How many writes a device has completed since it came to be; nil if it doesn't say.
    func writesCompleted(of number: DeviceNumber) -> UInt64?

    /// Attaches a file to a loop device and gives that one.
    func attachLoop(
        _ file: FilePath, sector: UInt32
    ) throws(SystemError) -> (path: FilePath, number: DeviceNumber)
    /// Attaches a file to a loop device that goes when nobody has it open any more.
    func attachTemporaryLoop(
        _ file: FilePath, sector: UInt32, readOnly: Bool
    ) throws(SystemError) -> TemporaryLoop
    /// Loop devices that a file is attached to, by what it is, whatever its path and though it may
    /// have none any more.
    func loops(
        onInode inode: UInt64, fileSystem: UInt64
    ) throws(SystemError) -> [AttachedLoop]
    /// The nodes of loop devices that have this file, as far as an ordinary user can tell, too.
    func holders(of file: FilePath) throws(SystemError) -> [FilePath]
    /// Whether a loop device goes by itself as soon as nobody has it open.
    func isPassing(loop: FilePath) -> Bool
    /// What an image's file is, from a moment after which every write to it bears another time; nil where
    /// that can't be told.
    func stamp(of image: FilePath) -> FileStamp?
    /// What else uses an image file than loop devices: swap, another program's lock; nil if nothing.
    func use(ofImage path: FilePath) throws(SystemError) -> String?
    /// Whether a loop device reads and writes its file past the page cache.
    func isDirect(loop: DeviceNumber) -> Bool
    /// Detaches a loop device; done already is done, too.
    func detachLoop(_ path: FilePath) throws(SystemError)

    /// The mounts of a device that this namespace sees.
    func mounts(of number: DeviceNumber) throws(SystemError) -> [Mount]
    /// Mounts of it in other namespaces, swap, devices built on it.
    func hiddenUses(of number: DeviceNumber) -> [DeviceUse]
    /// Every device that a directory's contents rest on, down to the disks.
    func foundations(ofDirectory path: FilePath) -> Set<DeviceNumber>
    /// Every device that this one's contents rest on, itself included, down to the disks.
    func foundations(of number: DeviceNumber) -> Set<DeviceNumber>
    /// Where a file system is to be mounted around a path, and isn't; nil if nowhere.
    func missingMount(around path: FilePath) -> FilePath?

    /// Writes a synthetic `change` event for a device, with one `DMSNAP=<word>` for rules to match.
    func announce(_ number: DeviceNumber, _ word: String) throws(SystemError)

    /// Has udev's rules look at a device again.
    func trigger(_ number: DeviceNumber) throws(SystemError)

    /// The time of day.
    func now() -> Date
    /// Waits a little between two looks at something that there is no event for.
    func pause(milliseconds: UInt32)
}

/// A loop device over some file.
public struct AttachedLoop: Sendable {
    /// Its node.
    public let path: FilePath
    /// Its number.
    public let number: DeviceNumber
    /// Whether it is the whole file. One with an offset or a size limit is another device.
    public let isWhole: Bool
    /// Whether nothing can be written through it.
    public let isReadOnly: Bool

    /// A loop device, from its parts.
    public init(path: FilePath, number: DeviceNumber, isWhole: Bool, isReadOnly: Bool) {
        self.path = path
        self.number = number
        self.isWhole = isWhole
        self.isReadOnly = isReadOnly
    }
}

extension Kernel {
    func fingerprint(_ path: FilePath, samples: Bool) throws(SystemError) -> Fingerprint {
        try fingerprint(path, samples: samples, expecting: nil)
    }

    /// What a device holds, with samples of all of it; of an image also what the file itself is.
    ///
    /// - Parameter image: the file that the device is over, or that it is itself; nil of a disk.
    func look(_ path: FilePath, image: FilePath?) throws(SystemError) -> Fingerprint {
        // First: whatever is written from here on shows in the file, if not in the samples. One that has
        // lost its name has none; then nothing is sure.
        let file = image.flatMap { stamp(of: $0) }
        var found = try fingerprint(path, samples: true)
        found.file = file
        return found
    }

    /// Loop devices that this file is attached to, wholly or a part of it, by whatever path.
    func loops(on file: FilePath) throws(SystemError) -> [AttachedLoop] {
        let status = try FileStatus(file)
        return try loops(onInode: status.inode, fileSystem: status.fileSystem)
    }
}

extension Kernel {
    /// After a device was put back: the kernel is to mount what is there now.
    ///
    /// - Parameters:
    ///   - path: what may be mounted now.
    ///   - other: what else it may have been mounted by before.
    func renewFileSystem(on path: FilePath, _ other: FilePath? = nil) {
        guard (try? contents(path))?.type == "btrfs" else { return }
        forgetBtrfs(on: path)
        if let other { forgetBtrfs(on: other) }
        scanBtrfs(on: path)
    }

    /// The mount point around a directory, wherever its path leads, on which something is still to be mounted.
    func mountToCome(for directory: FilePath) -> FilePath? {
        missingMount(around: (try? Files.resolve(directory)) ?? directory)
    }

    /// What is kept in a directory before its file system is mounted is out of sight as soon as that is. At a boot
    /// devices are activated before everything is mounted.
    ///
    /// - Throws: `busy`, of what the directory is for.
    func refuseWithoutMount(
        _ directory: FilePath, for device: String
    ) throws(SessionsError) {
        guard let place = mountToCome(for: directory) else { return }
        throw .busy(
            device: device,
            reason:
                "the sessions' directory \(directory) is to be on what /etc/fstab mounts on \(place), "
                + "and that isn't mounted",
            advice: "mount it, or name another directory")
    }

    /// Device-mapper would write to a disk that was set read-only all the same, and so would we.
    func refuseReadOnly(_ device: FilePath) throws {
        if try blockDevice(device).isReadOnly { throw SessionsError.setReadOnly(device.string) }
    }
}

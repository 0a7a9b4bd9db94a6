public import Block
public import DeviceMapper
public import FoundationEssentials
internal import Glibc
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
    /// The fingerprint of what the device itself holds, past any page cache.
    func fingerprint(_ path: FilePath) throws(SystemError) -> Fingerprint

    /// Attaches a file to a loop device and gives that one.
    func attachLoop(
        _ file: FilePath, sector: UInt32
    ) throws(SystemError) -> (path: FilePath, number: DeviceNumber)
    /// Loop devices that a file is attached to, by what it is, whatever its path and though it may
    /// have none any more.
    func loops(
        onInode inode: UInt64, fileSystem: UInt64
    ) throws(SystemError) -> [AttachedLoop]
    /// Detaches a loop device; done already is done, too.
    func detachLoop(_ path: FilePath) throws(SystemError)

    /// The mounts of a device that this namespace sees.
    func mounts(of number: DeviceNumber) throws(SystemError) -> [Mount]
    /// Mounts of it in other namespaces, swap, devices built on it.
    func hiddenUses(of number: DeviceNumber) -> [DeviceUse]
    /// Every device that a directory's contents rest on, down to the disks.
    func foundations(ofDirectory path: FilePath) -> Set<DeviceNumber>

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

    /// A loop device, from its parts.
    public init(path: FilePath, number: DeviceNumber, isWhole: Bool) {
        self.path = path
        self.number = number
        self.isWhole = isWhole
    }
}

extension Kernel {
    /// Loop devices that this file is attached to, wholly or a part of it, by whatever path.
    func loops(on file: FilePath) throws(SystemError) -> [AttachedLoop] {
        let status = try FileStatus(file)
        return try loops(onInode: status.inode, fileSystem: status.fileSystem)
    }
}

/// The machine's own kernel.
public struct HostKernel: Kernel {
    /// The kernel's own, through libdevmapper.
    public let deviceMapper: any DeviceMapping

    /// The machine's own, and device-mapper only if it is there and may be used.
    static var withoutDeviceMapper: HostKernel {
        do {
            return HostKernel(try KernelDeviceMapper())
        } catch {
            return HostKernel(AbsentDeviceMapper(error))
        }
    }

    private init(_ deviceMapper: any DeviceMapping) {
        self.deviceMapper = deviceMapper
    }

    /// - Throws: `noDeviceMapper` if the machine has none.
    public init() throws(SessionsError) {
        do {
            deviceMapper = try KernelDeviceMapper()
        } catch {
            throw .noDeviceMapper("\(error)")
        }
    }

    /// From /sys/class/block.
    public func blockDevices() -> [FilePath] {
        ((try? Files.list("/sys/class/block")) ?? []).map { FilePath("/dev/\($0)") }
    }

    /// From the mount table and libblkid.
    public func fileSystemUUID(holding path: FilePath) -> String? {
        guard let number = MountTable.device(holding: path), let name = Sysfs.kernelName(number)
        else { return nil }
        return try? contents(FilePath("/dev/\(name)")).uuid
    }

    /// With stat(2).
    public func status(_ path: FilePath) throws(SystemError) -> FileStatus {
        try FileStatus(path)
    }

    /// With open(2).
    public func open(
        _ path: FilePath, _ access: OwnedDescriptor.Access, exclusive: Bool
    ) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor.open(path, access, exclusive: exclusive)
    }

    /// From sysfs and ioctls.
    public func blockDevice(_ path: FilePath) throws(SystemError) -> BlockDevice {
        try BlockDevice(path)
    }

    /// Opens it with O_EXCL, and closes it.
    public func claim(_ path: FilePath) throws(SystemError) {
        try OwnedDescriptor.open(path, .readOnly, exclusive: true).close()
    }

    /// Probes with libblkid.
    public func contents(_ path: FilePath) throws(SystemError) -> Contents {
        let device = try OwnedDescriptor.open(path, .readOnly)
        return try Contents(probing: device)
    }

    /// Drops the device's page cache first.
    public func fingerprint(_ path: FilePath) throws(SystemError) -> Fingerprint {
        let device = try OwnedDescriptor.open(path, .readOnly)
        // The page cache of a device under device-mapper knows nothing of what went around it.
        if try FileStatus(path).kind == .blockDevice { try device.dropCache() }
        return try Fingerprint(of: device)
    }

    /// To the next free loop device.
    public func attachLoop(
        _ file: FilePath, sector: UInt32
    ) throws(SystemError) -> (path: FilePath, number: DeviceNumber) {
        let loop = try LoopDevice.attach(file, sector: sector)
        return (loop.path, try FileStatus(loop.path).deviceNumber)
    }

    /// From the loop devices themselves.
    public func loops(
        onInode inode: UInt64, fileSystem: UInt64
    ) throws(SystemError) -> [AttachedLoop] {
        var found: [AttachedLoop] = []
        for loop in LoopDevice.attached(toInode: inode, fileSystem: fileSystem) {
            found.append(
                AttachedLoop(
                    path: loop.path, number: try FileStatus(loop.path).deviceNumber,
                    isWhole: loop.backing?.isWhole ?? false))
        }
        return found
    }

    /// With LOOP_CLR_FD.
    public func detachLoop(_ path: FilePath) throws(SystemError) {
        try LoopDevice(path)?.detach()
    }

    /// From /proc/self/mountinfo.
    public func mounts(of number: DeviceNumber) throws(SystemError) -> [Mount] {
        try MountTable.mounts(of: number)
    }

    /// From /proc and sysfs.
    public func hiddenUses(of number: DeviceNumber) -> [DeviceUse] {
        DeviceUses.hidden(of: number)
    }

    /// From the mount table and sysfs.
    public func foundations(ofDirectory path: FilePath) -> Set<DeviceNumber> {
        MountTable.device(holding: path).map { Sysfs.foundations(of: $0) } ?? []
    }

    /// Writes the device's `uevent` file.
    public func announce(_ number: DeviceNumber, _ word: String) throws(SystemError) {
        // Keys and values of letters and digits only: a `-` makes the write fail with EINVAL
        // (lib/kobject_uevent.c, action_args).
        try event("change \(UUID().uuidString.lowercased()) DMSNAP=\(word)", number)
    }

    /// Writes the device's `uevent` file.
    public func trigger(_ number: DeviceNumber) throws(SystemError) {
        try event("change", number)
    }

    private func event(_ text: String, _ number: DeviceNumber) throws(SystemError) {
        let path = Sysfs.directory(number).appending("uevent")
        try OwnedDescriptor.open(path, .readWrite).write(Array(text.utf8), at: 0)
    }

    /// The system's clock.
    public func now() -> Date { Date() }

    /// Sleeps.
    public func pause(milliseconds: UInt32) {
        usleep(milliseconds * 1000)
    }
}

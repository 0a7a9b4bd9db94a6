public import Block
public import DeviceMapper
public import FoundationEssentials
internal import Glibc
public import SystemPackage

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

    /// From its own bytes.
    public func condition(of path: FilePath) throws(SystemError) -> FileSystemCondition {
        try FileSystemCondition(of: OwnedDescriptor.open(path, .readOnly))
    }

    /// From its own bytes.
    public func lastCheck(of path: FilePath) throws(SystemError) -> UInt64? {
        try FileSystemCondition.lastCheck(of: OwnedDescriptor.open(path, .readOnly))
    }

    /// Drops the device's page cache first.
    public func fingerprint(
        _ path: FilePath, samples: Bool, expecting expected: Contents?
    ) throws(SystemError) -> Fingerprint {
        let device = try OwnedDescriptor.open(path, .readOnly)
        // The page cache of a device under device-mapper knows nothing of what went around it.
        if try FileStatus(path).kind == .blockDevice { try device.dropCache() }
        return samples
            ? try Fingerprint(of: device, expecting: expected)
            : try Fingerprint(superblocksOf: device, expecting: expected)
    }

    /// With fsync(2).
    public func synchronize(_ path: FilePath) throws(SystemError) {
        try OwnedDescriptor.open(path, .readOnly).synchronize()
    }

    /// With syncfs(2).
    public func synchronizeFileSystem(of directory: FilePath) throws(SystemError) {
        try Files.synchronizeFileSystem(of: directory)
    }

    /// From sysfs.
    public func exists(_ number: DeviceNumber) -> Bool {
        Files.exists(Sysfs.directory(number))
    }

    /// From sysfs, which counts sectors of 512 bytes.
    public func size(of number: DeviceNumber) -> ByteCount? {
        Sysfs.attribute(Sysfs.directory(number).appending("size")).flatMap { UInt64($0) }
            .flatMap { SectorCount($0).bytes }
    }

    /// By statvfs(3).
    public func freeSpace(
        _ path: FilePath
    ) throws(SystemError) -> (free: ByteCount, size: ByteCount) {
        try Files.freeSpace(path)
    }

    /// With statfs(2).
    public func isInMemory(_ path: FilePath) throws(SystemError) -> Bool {
        try Files.isInMemory(path)
    }

    /// MemAvailable of /proc/meminfo.
    public func availableMemory() -> ByteCount? { Memory.available() }

    /// From /proc.
    public func readers(of number: DeviceNumber) -> Int? { DeviceReaders.count(of: number) }

    /// From sysfs.
    public func writesCompleted(of number: DeviceNumber) -> UInt64? {
        Sysfs.writesCompleted(by: number)
    }

    /// To the next free loop device.
    public func attachLoop(
        _ file: FilePath, sector: UInt32
    ) throws(SystemError) -> (path: FilePath, number: DeviceNumber) {
        let loop = try LoopDevice.attach(file, sector: sector)
        return (loop.path, try FileStatus(loop.path).deviceNumber)
    }

    /// To the next free loop device, with autoclear.
    public func attachTemporaryLoop(
        _ file: FilePath, sector: UInt32, readOnly: Bool
    ) throws(SystemError) -> TemporaryLoop {
        try LoopDevice.attachTemporarily(file, sector: sector, readOnly: readOnly)
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
                    isWhole: loop.backing?.isWhole ?? false, isReadOnly: loop.isReadOnly))
        }
        return found
    }

    /// From sysfs, and from the loop devices where they may be asked.
    public func holders(of file: FilePath) throws(SystemError) -> [FilePath] {
        try LoopDevice.holders(ofFileAt: file).map(\.loop.path)
    }

    /// From sysfs.
    public func isPassing(loop: FilePath) -> Bool {
        guard let name = loop.lastComponent else { return false }
        return Sysfs.attribute(FilePath("/sys/block").appending(name).appending("loop/autoclear"))
            == "1"
    }

    /// From stat(2), after some milliseconds where it was written to just now.
    public func stamp(of image: FilePath) -> FileStamp? {
        (try? FileStamp.settled(image)) ?? nil
    }

    /// From /proc/swaps, and fcntl(2)'s locks.
    public func use(ofImage path: FilePath) throws(SystemError) -> String? {
        if try FileUse.isSwappedOn(path) { return "it is swapped on" }
        guard let lock = try FileUse.foreignLock(path) else { return nil }
        let holder = lock.process.map { "process \($0)" } ?? "another program"
        return switch lock.kind {
        case .reading, .writing: "\(holder) has it locked, as a virtual machine does"
        case .lease: "\(holder) has a lease on it"
        }
    }

    /// From sysfs.
    public func isDirect(loop: DeviceNumber) -> Bool {
        Sysfs.attribute(Sysfs.directory(loop).appending("loop/dio")) == "1"
    }

    /// With LOOP_CLR_FD.
    public func detachLoop(_ path: FilePath) throws(SystemError) {
        try LoopDevice(path)?.detach()
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

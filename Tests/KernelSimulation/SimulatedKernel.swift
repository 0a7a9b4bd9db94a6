package import Block
package import DeviceMapper
package import FoundationEssentials
package import Sessions
package import SystemPackage

/// A kernel for the domain's tests: plain files are its disks, and dm-snapshot's rules are kept.
///
/// What the real kernel would silently do wrong (a snapshot loaded under a running origin, one store
/// under two snapshots) is noted in `violations`. Every call is a step of `Steps`. It is used by one
/// thread at a time.
package final class SimulatedKernel: Kernel, DeviceMapping, @unchecked Sendable {
    struct Disk {
        var path: FilePath
        var number: DeviceNumber
        var file: FileDescriptor
        var hardware: [String]
        var isReadOnly = false
    }

    struct Loop {
        var file: FileDescriptor
        var backing: FilePath
        var fileSystem: UInt64
        var inode: UInt64
        var isWhole = true
        var isReadOnly = false
        var isPassing = false
    }

    struct Mapped {
        var number: DeviceNumber
        var uuid: String
        var live: Target?
        var inactive: Target?
        /// Of a live snapshot, or of an origin into which one is merged.
        var store: SimulatedStore?
        var inactiveStore: SimulatedStore?
        var isSuspended = false
        /// Of an origin: the snapshots by whose chunks it splits bios, found out at its last resume.
        var splitsFor: Set<String> = []
        var programs = 0
        /// How many of them only read.
        var readers = 0
    }

    /// Where the nodes of disks are.
    let nodes: FilePath
    var disks: [Disk] = []
    var loops: [UInt32: Loop] = [:]
    var mapped: [String: Mapped] = [:]
    var minors: UInt32 = 0
    var mounted: [DeviceNumber: [Mount]] = [:]
    /// Descriptors that the code under test has got for an origin, and what was there before.
    var handed: [(descriptor: CInt, name: String, before: [UInt8]?)] = []

    /// The events that were announced, the latest last: a device's name and the word.
    package internal(set) var events: [(name: String, word: String)] = []
    /// The calls that change something or may, in their order, as `resume dmsnap-sda`.
    package internal(set) var calls: [String] = []
    /// What a real kernel would have taken, and lost data by it.
    package internal(set) var violations: [String] = []
    /// Uses that no mount table of ours shows.
    package var hidden: [DeviceNumber: [DeviceUse]] = [:]
    /// The UUID of the file system that holds a path.
    package var fileSystemUUID: (FilePath) -> String? = { _ in
        "5e551045-0000-4000-8000-000000000001"
    }
    /// What is free where sessions are, of a hundred gibibytes.
    package var free = ByteCount(50 << 30)
    /// Whether /run is a tmpfs.
    package var runIsInMemory = true
    /// Whether the kernel counts writes.
    package var countsWrites = true
    /// How many writes each device has completed.
    package var writes: [DeviceNumber: UInt64] = [:]
    /// What a power cut takes back: writes that no flush of their device came after, the oldest first.
    var unflushed: [UnflushedWrite] = []
    /// What an origin held when a store began to capture, by the snapshot's DM UUID.
    package internal(set) var beginnings: [String: [UInt8]] = [:]
    /// Whether those are kept.
    package var keepsBeginnings = false
    /// Whether file systems were unmounted properly.
    package var condition = FileSystemCondition.unknown
    /// When file systems were checked.
    package var lastCheck: UInt64?
    /// Who else uses an image file.
    package var imageUse: (FilePath) -> String? = { _ in nil }
    /// What the sessions' directory rests on.
    package var foundations: Set<DeviceNumber> = []
    /// Where a file system is to be mounted around the sessions' directory, and isn't.
    package var missingMount: FilePath?
    /// Called right after a device was suspended, with its name.
    package var whenSuspended: (String) -> Void = { _ in }
    /// Called right after a mapped device was removed, and a file attached, with its name or path.
    package var whenRemoved: (String) -> Void = { _ in }
    /// See `whenRemoved`.
    package var whenAttached: (String) -> Void = { _ in }
    /// Called when somebody waits, before the time is over.
    package var whenPaused: () -> Void = {}
    /// What a udev rule does for an event.
    package var rule: (_ name: String, _ word: String) -> Void = { _, _ in }
    /// How many chunks a merge puts back between two calls.
    package var mergeSpeed = 1
    /// Fails the wait for udev of every transaction.
    package var udevFails = false
    /// The time of day, and how much later it is at the next look.
    package var clock = Date(timeIntervalSince1970: 1_795_516_735)
    /// See `clock`.
    package var tick: TimeInterval = 1

    /// A machine with no disk, whose nodes are in this directory.
    package init(nodes: FilePath) {
        self.nodes = nodes
    }

    deinit {
        for disk in disks { try? disk.file.close() }
        for loop in loops.values { try? loop.file.close() }
    }

    /// This kernel's own.
    package var deviceMapper: any DeviceMapping { self }

    func enter(
        _ call: String, _ subject: String = "", changes: Bool = false
    ) throws(SystemError) {
        guard Steps.next("\(call) \(subject)", changes: changes) else {
            throw SystemError(operation: call, path: subject, errno: .ioError)
        }
        absorb()
        mergeOn()
    }

    // MARK: Kernel

    package func blockDevices() -> [FilePath] {
        disks.map(\.path)
    }

    package func fileSystemUUID(holding path: FilePath) -> String? { fileSystemUUID(path) }

    package func freeSpace(
        _ path: FilePath
    ) throws(SystemError) -> (free: ByteCount, size: ByteCount) {
        (free, ByteCount(100 << 30))
    }

    package func readers(of number: DeviceNumber) -> Int? {
        guard let device = mapped.values.first(where: { $0.number == number }),
            device.readers == device.programs
        else { return nil }
        return device.readers
    }

    package func availableMemory() -> ByteCount? { ByteCount(1 << 30) }

    package func isInMemory(_ path: FilePath) -> Bool { runIsInMemory }

    package func exists(_ number: DeviceNumber) -> Bool {
        disks.contains { $0.number == number } || number.major == 7 && loops[number.minor] != nil
            || mapped.values.contains { $0.number == number }
    }

    package func size(of number: DeviceNumber) -> ByteCount? {
        guard let (file, _) = try? backing(of: number, ""),
            let size = try? file.seek(offset: 0, from: .end)
        else { return nil }
        return ByteCount(UInt64(size) / 512 * 512)
    }

    package func writesCompleted(of number: DeviceNumber) -> UInt64? {
        countsWrites ? writes[number, default: 0] : nil
    }

    package func status(_ path: FilePath) throws(SystemError) -> FileStatus {
        try enter("stat", path.string)
        if let number = number(of: path) { return FileStatus(blockDevice: number) }
        return try FileStatus(path)
    }

    package func open(
        _ path: FilePath, _ access: OwnedDescriptor.Access, exclusive: Bool
    ) throws(SystemError) -> OwnedDescriptor {
        try enter("open", path.string)
        guard let number = number(of: path) else { return try OwnedDescriptor.open(path, access) }
        if exclusive, isClaimed(number) {
            throw SystemError(operation: "open", path: path.string, errno: .resourceBusy)
        }
        let (file, name) = try backing(of: number, path)
        let opened = try OwnedDescriptor.open(proc(file), access)
        if let name {
            let before = access == .readWrite ? try? allBytes(of: file) : nil
            handed.append((opened.descriptor.rawValue, name, before))
        }
        return opened
    }

    package func blockDevice(_ path: FilePath) throws(SystemError) -> BlockDevice {
        try enter("blockDevice", path.string)
        guard let number = number(of: path) else {
            let errno: Errno =
                Files.exists(path) ? .notBlockDevice : .noSuchFileOrDirectory
            throw SystemError(operation: "open", path: path.string, errno: errno)
        }
        let (file, _) = try backing(of: number, path)
        let size = UInt64((try? file.seek(offset: 0, from: .end)) ?? 0)
        let disk = disks.first { $0.number == number }
        return BlockDevice(
            path: path, number: number, kernelName: path.lastComponent?.string ?? "",
            size: ByteCount(size / 512 * 512), isReadOnly: disk?.isReadOnly ?? false,
            hardwareIdentity: disk?.hardware ?? [])
    }

    package func claim(_ path: FilePath) throws(SystemError) {
        try enter("claim", path.string)
        if let number = number(of: path), isClaimed(number) {
            throw SystemError(operation: "open", path: path.string, errno: .resourceBusy)
        }
    }

    package func contents(_ path: FilePath) throws(SystemError) -> Contents {
        try enter("contents", path.string)
        return try Steps.elsewhere { () throws(SystemError) in
            try Contents(probing: reading(path))
        }
    }

    package func condition(of path: FilePath) throws(SystemError) -> FileSystemCondition {
        try enter("condition", path.string)
        return condition
    }

    package func lastCheck(of path: FilePath) throws(SystemError) -> UInt64? { lastCheck }

    package func fingerprint(
        _ path: FilePath, samples: Bool, expecting expected: Contents?
    ) throws(SystemError) -> Fingerprint {
        try enter("fingerprint", path.string)
        return try Steps.elsewhere { () throws(SystemError) in
            let device = try shown(path)
            return samples
                ? try Fingerprint(of: device, expecting: expected)
                : try Fingerprint(superblocksOf: device, expecting: expected)
        }
    }

    /// A real one only.
    package func forgetBtrfs(on path: FilePath) {}

    /// A real one only.
    package func scanBtrfs(on path: FilePath) {}

    package func synchronize(_ path: FilePath) throws(SystemError) {
        try enter("synchronize", path.string)
        if let number = number(of: path) { flush(number) }
    }

    package func synchronizeFileSystem(of directory: FilePath) throws(SystemError) {
        try enter("syncfs", directory.string)
    }

    package func attachLoop(
        _ file: FilePath, sector: UInt32
    ) throws(SystemError) -> (path: FilePath, number: DeviceNumber) {
        try enter("attachLoop", file.string, changes: true)
        return try Steps.elsewhere { () throws(SystemError) in
            defer { whenAttached(file.string) }
            return try attach(file)
        }
    }

    package func attachTemporaryLoop(
        _ file: FilePath, sector: UInt32, readOnly: Bool
    ) throws(SystemError) -> TemporaryLoop {
        // A view needs a kernel that removes devices by itself.
        throw SystemError(
            operation: "LOOP_CONFIGURE", path: file.string, errno: .invalidArgument)
    }

    package func loops(
        onInode inode: UInt64, fileSystem: UInt64
    ) throws(SystemError) -> [AttachedLoop] {
        try enter("loops", "inode \(inode)")
        return loops.sorted { $0.key < $1.key }.filter {
            $0.value.inode == inode && $0.value.fileSystem == fileSystem
        }.map { index, loop in
            AttachedLoop(
                path: loopPath(index), number: DeviceNumber(major: 7, minor: index),
                isWhole: loop.isWhole, isReadOnly: loop.isReadOnly)
        }
    }

    package func holders(of file: FilePath) throws(SystemError) -> [FilePath] {
        let status = try FileStatus(file)
        return try loops(onInode: status.inode, fileSystem: status.fileSystem).map(\.path)
    }

    package func isPassing(loop: FilePath) -> Bool {
        number(of: loop).flatMap { loops[$0.minor]?.isPassing } ?? false
    }

    package func stamp(of image: FilePath) -> FileStamp? {
        // Who writes to it past the machine waits for the clock's next tick.
        (try? FileStatus(image)).map { FileStamp($0) }
    }

    package func use(ofImage path: FilePath) throws(SystemError) -> String? { imageUse(path) }

    package func isDirect(loop: DeviceNumber) -> Bool { true }

    package func detachLoop(_ path: FilePath) throws(SystemError) {
        try enter("detachLoop", path.string, changes: true)
        calls.append("detachLoop \(path.lastComponent?.string ?? "")")
        guard let number = number(of: path), number.major == 7,
            let loop = loops[number.minor]
        else { return }
        if isClaimed(number) {
            violations.append("\(path) is detached under a live table: only noted by the kernel")
            return
        }
        loops[number.minor] = nil
        try? loop.file.close()
    }

    package func mounts(of number: DeviceNumber) throws(SystemError) -> [Mount] {
        try enter("mounts", "\(number)")
        return mounted[number] ?? []
    }

    package func hiddenUses(of number: DeviceNumber) -> [DeviceUse] {
        hidden[number] ?? []
    }

    package func foundations(of number: DeviceNumber) -> Set<DeviceNumber> { [number] }

    package func foundations(ofDirectory path: FilePath) -> Set<DeviceNumber> {
        foundations
    }

    package func missingMount(around path: FilePath) -> FilePath? { missingMount }

    package func announce(_ number: DeviceNumber, _ word: String) throws(SystemError) {
        try enter("announce", word, changes: true)
        guard let name = mapped.first(where: { $0.value.number == number })?.key else {
            throw SystemError(operation: "uevent", path: "\(number)", errno: .noSuchFileOrDirectory)
        }
        events.append((name, word))
        rule(name, word)
    }

    package func trigger(_ number: DeviceNumber) throws(SystemError) {
        try enter("trigger", "\(number)")
        events.append(("\(number)", "change"))
    }

    package func now() -> Date {
        defer { clock += tick }
        return clock
    }

    package func pause(milliseconds: UInt32) {
        whenPaused()
    }
}

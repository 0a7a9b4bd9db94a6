internal import CLinux
internal import Glibc
public import SystemPackage

/// Loop devices: a regular file as a block device (linux/loop.h).
///
/// Those under stores are attached without autoclear and taken down by hand: one that goes away by itself
/// hides the bug that let go of it.
public struct LoopDevice: Hashable, Sendable {
    /// `N` in `/dev/loopN`.
    public let index: Int32

    /// Its node.
    public var path: FilePath { FilePath("/dev/loop\(index)") }

    /// The loop device at this path; nil if the path is another's.
    public init?(_ path: FilePath) {
        guard path.string.hasPrefix("/dev/loop"), let index = Int32(path.string.dropFirst(9))
        else { return nil }
        self.index = index
        // Swift's integers take `-1`, `+1` and `01`, which no loop device is called.
        if index < 0 || self.path != path { return nil }
    }

    init(index: Int32) {
        self.index = index
    }

    /// Attaches a file to a free loop device.
    ///
    /// Direct I/O is asked for and gone without where the file's file system has none, so that the
    /// store's writes don't stay in a second page cache.
    ///
    /// - Parameter sector: the device's logical sector in bytes.
    public static func attach(
        _ file: FilePath, sector: UInt32 = 512, readOnly: Bool = false
    ) throws(SystemError) -> LoopDevice {
        try configure(file, sector: sector, readOnly: readOnly, isTemporary: false).loop
    }

    /// Attaches a file to a free loop device that goes by itself, when nobody has it open any more.
    public static func attachTemporarily(
        _ file: FilePath, sector: UInt32 = 512, readOnly: Bool = false
    ) throws(SystemError) -> TemporaryLoop {
        let configured = try configure(
            file, sector: sector, readOnly: readOnly, isTemporary: true)
        return TemporaryLoop(
            hold: configured.device, number: try FileStatus(configured.loop.path).deviceNumber)
    }

    private struct Configured: ~Copyable {
        let loop: LoopDevice
        let device: OwnedDescriptor
    }

    private static func configure(
        _ file: FilePath, sector: UInt32, readOnly: Bool, isTemporary: Bool
    ) throws(SystemError) -> Configured {
        let backing = try OwnedDescriptor.open(file, readOnly ? .readOnly : .readWrite)
        let isDirect = takesDirectIO(file)
        // Whoever reads the device reads ahead itself, and nothing else is to be read of the file.
        if !isDirect { backing.adviseRandomReads() }
        let control = try OwnedDescriptor.open("/dev/loop-control", .readWrite)
        // Somebody else may take the free device between the two calls: then the next one.
        for _ in 0..<64 {
            let index = try systemCall("LOOP_CTL_GET_FREE", "/dev/loop-control") {
                clinux_loop_get_free(control.descriptor.rawValue)
            }
            let loop = LoopDevice(index: index)
            let device = try loop.openWhenThere()
            let result = clinux_loop_configure(
                device.descriptor.rawValue, backing.descriptor.rawValue, sector, readOnly ? 1 : 0,
                isDirect ? 1 : 0, isTemporary ? 1 : 0)
            if result == 0 { return Configured(loop: loop, device: device) }
            guard errno == EBUSY else {
                throw SystemError(
                    operation: "LOOP_CONFIGURE \(loop.path)", path: file.string,
                    errno: Errno(rawValue: errno))
            }
        }
        throw SystemError(operation: "LOOP_CONFIGURE", path: file.string, errno: .resourceBusy)
    }

    /// Whether the file can be read past the page cache.
    ///
    /// Asked by doing it: overlayfs says yes for files that it has on a tmpfs, and then every
    /// request of the loop device fails.
    private static func takesDirectIO(_ file: FilePath) -> Bool {
        guard let opened = try? OwnedDescriptor.open(file, .readOnly, direct: true) else {
            return false
        }
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { unsafe page.deallocate() }
        return (try? unsafe opened.read(into: page, at: 0)) != nil
    }

    /// The node of a new loop device comes from devtmpfs at once, but udev may still be at it.
    private func openWhenThere() throws(SystemError) -> OwnedDescriptor {
        var tries = 0
        while true {
            do throws(SystemError) {
                return try OwnedDescriptor.open(path, .readWrite)
            } catch {
                tries += 1
                if tries == 100 || error.errno != .noSuchFileOrDirectory { throw error }
                usleep(10_000)
            }
        }
    }

    /// Detaches. Done already is done, too.
    ///
    /// While anybody has the device open the kernel only notes it (and returns 0): so call it when
    /// the tables over it are gone.
    public func detach() throws(SystemError) {
        let device = try OwnedDescriptor.open(path, .readOnly)
        do {
            try systemCall("LOOP_CLR_FD", path.string) {
                clinux_loop_clear(device.descriptor.rawValue)
            }
        } catch {
            if error.errno != .noSuchAddressOrDevice { throw error }
        }
    }

    /// What is behind a loop device.
    public struct Backing: Hashable, Sendable {
        /// The number of the device whose file system holds the file.
        public let fileSystem: UInt64
        /// The file's inode number.
        public let inode: UInt64
        /// Where in the file the device begins, in bytes.
        public let offset: UInt64
        /// How many bytes of the file the device has at most; 0 for no limit.
        public let limit: UInt64
        /// The file's path now. It is sysfs's: the ioctl's is cut at 63 bytes.
        public let path: String

        /// Whether the device is the whole file, and not a part of it.
        public var isWhole: Bool { offset == 0 && limit == 0 }
    }

    /// The file behind it, by what it is and by its path now; nil if nothing is attached.
    public var backing: Backing? {
        var (device, inode, offset, limit): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        guard let opened = try? OwnedDescriptor.open(path, .readOnly),
            unsafe clinux_loop_backing(
                opened.descriptor.rawValue, &device, &inode, &offset, &limit) == 0
        else { return nil }
        let name = Sysfs.attribute(FilePath("/sys/block/loop\(index)/loop/backing_file")) ?? ""
        return Backing(
            fileSystem: device, inode: inode, offset: offset, limit: limit, path: name)
    }

    /// Whether it was attached to be read only.
    public var isReadOnly: Bool {
        Sysfs.attribute(FilePath("/sys/block/loop\(index)/ro")) == "1"
    }

    /// Every attached loop device whose backing file is this one, or a part of it, by whatever path it
    /// was attached.
    public static func attached(toInode inode: UInt64, fileSystem: UInt64) -> [LoopDevice] {
        let names = (try? Files.list("/sys/block")) ?? []
        return names.compactMap { name in
            guard let loop = LoopDevice(FilePath("/dev/\(name)")),
                Files.exists(FilePath("/sys/block/\(name)/loop")),
                let backing = loop.backing,
                DeviceNumber(backing.fileSystem) == DeviceNumber(fileSystem),
                backing.inode == inode
            else { return nil }
            return loop
        }
    }
}

/// A loop device that is there as long as this value, or whatever has it open meanwhile.
public final class TemporaryLoop: Sendable {
    private let hold: OwnedDescriptor
    /// Its number.
    public let number: DeviceNumber

    init(hold: consuming OwnedDescriptor, number: DeviceNumber) {
        self.hold = hold
        self.number = number
    }
}

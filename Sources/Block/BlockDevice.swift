internal import CLinux
public import SystemPackage

/// A block device as the kernel shows it now.
public struct BlockDevice: Sendable {
    /// The path that it was found by.
    public let path: FilePath
    /// What is the same by every path.
    public let number: DeviceNumber
    /// `sdb1`, `dm-3`.
    public let kernelName: String
    /// Device-mapper's name of it, if it is one of its devices, as the kernel has it (a space as
    /// `\x20`): `vg-lv`.
    public let mapperName: String?
    /// Its whole length.
    public let size: ByteCount
    /// The logical sector in bytes: 512 or 4096.
    public let sector: UInt32
    /// Whether the kernel refuses every write to it.
    public let isReadOnly: Bool
    /// What this device is beyond its contents, as far as the hardware or a lower layer says:
    /// a WWID, a serial number, device-mapper's UUID, a partition's number. Equal ones are the same
    /// device, if there is more than a partition's number.
    public let hardwareIdentity: [String]

    /// What the mark of a partition's number in `hardwareIdentity` begins with.
    public static let partitionMark = "partition:"

    /// A block device, from its parts.
    public init(
        path: FilePath, number: DeviceNumber, kernelName: String, mapperName: String? = nil,
        size: ByteCount, sector: UInt32 = 512, isReadOnly: Bool = false,
        hardwareIdentity: [String] = []
    ) {
        self.path = path
        self.number = number
        self.kernelName = kernelName
        self.mapperName = mapperName
        self.size = size
        self.sector = sector
        self.isReadOnly = isReadOnly
        self.hardwareIdentity = hardwareIdentity
    }

    /// - Throws: ENOTBLK if the path isn't a block device's.
    public init(_ path: FilePath) throws(SystemError) {
        let status = try FileStatus(path)
        guard status.kind == .blockDevice else {
            throw SystemError(
                operation: "open", path: path.string, errno: .notBlockDevice)
        }
        let device = try OwnedDescriptor.open(path, .readOnly)
        var sector: UInt32 = 0
        try systemCall("BLKSSZGET", path.string) {
            unsafe clinux_blk_logical_sector(device.descriptor.rawValue, &sector)
        }
        let folder = Sysfs.directory(status.deviceNumber)
        self.path = path
        self.sector = sector
        number = status.deviceNumber
        kernelName = Sysfs.kernelName(number) ?? path.lastComponent?.string ?? path.string
        mapperName = Sysfs.attribute(folder.appending("dm/name"))
        size = try device.size()
        isReadOnly = Sysfs.attribute(folder.appending("ro")) == "1"
        hardwareIdentity = Self.hardwareIdentity(number)
    }

    /// Whether the hardware, or a lower layer, says who a device is. A partition's number alone says nothing:
    /// the first partition of every disk without a serial number has the same.
    public static func isMarked(_ hardwareIdentity: [String]) -> Bool {
        hardwareIdentity.contains { !$0.hasPrefix(partitionMark) }
    }

    /// How many writes the device has completed since it appeared, as asked for now: a number that
    /// stays the same says that nobody wrote, whoever has it open. See `Sysfs.writesCompleted`.
    public var writesCompleted: UInt64? { Sysfs.writesCompleted(by: number) }

    private static func hardwareIdentity(_ number: DeviceNumber) -> [String] {
        let folder = Sysfs.directory(number)
        let disk = Sysfs.disk(ofPartition: number).map(Sysfs.directory) ?? folder
        let sources: [(String, FilePath)] = [
            ("wwid", disk.appending("device").appending("wwid")), ("wwid", disk.appending("wwid")),
            ("serial", disk.appending("device").appending("serial")),
            ("serial", disk.appending("serial")),
            ("dm", folder.appending("dm").appending("uuid")),
            (String(partitionMark.dropLast()), folder.appending("partition")),
        ]
        return sources.compactMap { kind, path in
            Sysfs.attribute(path).flatMap { value in
                let text = value.filter { $0 != " " }
                return text.isEmpty ? nil : "\(kind):\(text)"
            }
        }
    }
}

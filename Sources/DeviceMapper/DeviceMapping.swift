public import Block
public import SystemPackage

/// A target of a table: where it starts, how long it is, its type, its parameters.
public struct Target: Hashable, Sendable {
    /// Where in the device it begins.
    public let start: SectorCount
    /// How much of the device it is.
    public let length: SectorCount
    /// The kernel's name of it: `snapshot`.
    public let type: String
    /// What the type takes, or, in a status, gives.
    public let parameters: String

    /// A target of any type.
    public init(
        start: SectorCount = SectorCount(0), length: SectorCount, type: String, parameters: String
    ) {
        self.start = start
        self.length = length
        self.type = type
        self.parameters = parameters
    }

    /// A `snapshot-origin` over a whole device.
    public static func snapshotOrigin(
        _ target: SnapshotOriginTarget, length: SectorCount
    ) -> Target {
        Target(length: length, type: SnapshotOriginTarget.type, parameters: target.parameters)
    }

    /// A `linear` in a table of several: the beginning of another device (drivers/md/dm-linear.c).
    public static func linear(
        at start: SectorCount, length: SectorCount, of device: DeviceNumber
    ) -> Target {
        Target(start: start, length: length, type: "linear", parameters: "\(device) 0")
    }

    /// A `snapshot` over a whole device.
    public static func snapshot(_ target: SnapshotTarget, length: SectorCount) -> Target {
        Target(length: length, type: SnapshotTarget.type, parameters: target.parameters)
    }
}

/// What DM_DEVICE_INFO says of a device.
public struct DeviceInfo: Hashable, Sendable {
    /// The device's number.
    public var number: DeviceNumber
    /// Whether its I/O is held back.
    public var isSuspended: Bool
    /// Whether a table has been made live.
    public var hasLiveTable: Bool
    /// Everybody who has the device open: mounts, swap, devices built on it, programs.
    public var openCount: Int

    /// A device's state, from its parts.
    public init(number: DeviceNumber, isSuspended: Bool, hasLiveTable: Bool, openCount: Int) {
        self.number = number
        self.isSuspended = isSuspended
        self.hasLiveTable = hasLiveTable
        self.openCount = openCount
    }
}

/// Which of udev's rules see a device that a task makes.
public enum UdevVisibility: Sendable {
    /// All rules, as any disk.
    case disk
    /// None but those that make the node: for the snapshots, which carry the same file system as
    /// their origin and must not be probed, linked by UUID, or mounted by anybody.
    case hidden
}

/// Device-mapper, as the domain uses it: the kernel's, or a simulated one in tests.
///
/// Every change is announced to udev under the transaction that `inTransaction` opened, and nodes
/// are there when it returns.
public protocol DeviceMapping: Sendable {
    /// Every device's name, unescaped, and UUID (empty if it has none).
    func devices() throws(DeviceMapperError) -> [(name: String, uuid: String)]
    /// nil if there is no such device.
    func info(_ name: DeviceName) throws(DeviceMapperError) -> DeviceInfo?
    /// Creates the device without a table.
    func create(
        _ name: DeviceName, uuid: DeviceUUID, in transaction: DeviceMapperTransaction,
        visibility: UdevVisibility
    ) throws(DeviceMapperError)
    /// Loads a table into the inactive slot; `resume` makes it live.
    func load(_ name: DeviceName, _ targets: [Target], isReadOnly: Bool) throws(DeviceMapperError)
    /// Stands guard over a device that is about to be suspended: should this process die before it
    /// has resumed it, the guard does.
    ///
    /// Where nobody dies, as in simulations, there is none (the default).
    /// - Throws: if there can be no guard; then nothing is to be suspended.
    func standGuard(over name: DeviceName) throws(DeviceMapperError) -> SuspendGuard
    /// Suspends after flushing and, unless `freezing` is false, freezing the file system on it.
    func suspend(_ name: DeviceName, freezing: Bool) throws(DeviceMapperError)
    func resume(
        _ name: DeviceName, in transaction: DeviceMapperTransaction, visibility: UdevVisibility
    ) throws(DeviceMapperError)
    /// Fails with EBUSY while somebody has it open.
    func remove(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError)
    /// Has the kernel remove a device as soon as nobody has it open; at once, if nobody has.
    func removeWhenUnused(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError)
    func table(_ name: DeviceName) throws(DeviceMapperError) -> [Target]
    /// A target's status line as parameters; nothing for a device that isn't there, which
    /// libdevmapper doesn't tell from one without a table.
    func status(_ name: DeviceName) throws(DeviceMapperError) -> [Target]
    /// Runs `body`, then waits until udev has handled every change made in it, also when it throws.
    ///
    /// Never inside a suspend: an event's rules may read the suspended device.
    func inTransaction<Result>(
        _ body: (DeviceMapperTransaction) throws -> Result
    ) throws -> Result
}

/// A running set of changes that udev is told of, and waited for, together.
public final class DeviceMapperTransaction {
    /// libdevmapper's udev cookie, a semaphore; 0 until the first change.
    var cookie: UInt32 = 0

    /// One without changes.
    public init() {}
}

/// A device-mapper operation that failed.
public struct DeviceMapperError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What can be asked of device-mapper.
    public enum Operation: String, Sendable {
        case version, targets, list, info, create, load, suspend, resume, remove, table, status
        case udev
        /// Making the process that resumes a device when this one dies.
        case `guard`
    }

    /// What was asked.
    public let operation: Operation
    /// The device's name; empty for operations on none.
    public let name: String
    /// The kernel's answer.
    public let errno: Errno
    /// What libdevmapper said of it, "" if nothing.
    public let message: String

    /// A failure of `operation` on the device `name`.
    public init(operation: Operation, name: String, errno: Errno, message: String = "") {
        self.operation = operation
        self.name = name
        self.errno = errno
        self.message = message
    }

    /// For people: the device, the operation, the reason.
    public var description: String {
        let what = name.isEmpty ? "device-mapper" : "device-mapper device \(name)"
        let reason = message.isEmpty ? "\(errno)" : "\(errno) (\(message))"
        return "\(what): \(operation.rawValue): \(reason)"
    }
}

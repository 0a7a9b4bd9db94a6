internal import SystemPackage

/// Device-mapper as a kernel without it has it, or a user who may not use it: there is no device, and
/// none can be made.
public struct AbsentDeviceMapper: DeviceMapping {
    /// Why nothing can be made.
    private let reason: DeviceMapperError

    /// - Parameter reason: what opening the kernel's own failed with.
    public init(_ reason: DeviceMapperError) {
        self.reason = reason
    }

    /// None.
    public func devices() -> [(name: String, uuid: String)] { [] }

    /// nil.
    public func info(_ name: DeviceName) -> DeviceInfo? { nil }

    /// Fails.
    public func create(
        _ name: DeviceName, uuid: DeviceUUID, in transaction: DeviceMapperTransaction,
        visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        throw reason
    }

    /// Fails.
    public func load(
        _ name: DeviceName, _ targets: [Target], isReadOnly: Bool
    ) throws(DeviceMapperError) {
        throw reason
    }

    /// Fails.
    public func suspend(_ name: DeviceName, freezing: Bool) throws(DeviceMapperError) {
        throw reason
    }

    /// Fails.
    public func resume(
        _ name: DeviceName, in transaction: DeviceMapperTransaction, visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        throw reason
    }

    /// Fails.
    public func remove(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        throw reason
    }

    /// Nothing.
    public func table(_ name: DeviceName) -> [Target] { [] }

    /// Nothing.
    public func status(_ name: DeviceName) -> [Target] { [] }

    /// Runs `body`.
    public func inTransaction<Result>(
        _ body: (DeviceMapperTransaction) throws -> Result
    ) throws -> Result {
        try body(DeviceMapperTransaction())
    }
}

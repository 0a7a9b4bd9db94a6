internal import SystemPackage

/// Device-mapper where the kernel has none, or it isn't this user's to use: every question fails, too.
///
/// Not to know what is loaded is not the same as nothing being loaded: what a crash left behind would
/// be cleaned up by such an answer.
public struct AbsentDeviceMapper: DeviceMapping {
    /// Why it can't be used.
    private let reason: DeviceMapperError

    /// - Parameter reason: what opening the kernel's own failed with.
    public init(_ reason: DeviceMapperError) {
        self.reason = reason
    }

    /// Fails.
    public func devices() throws(DeviceMapperError) -> [(name: String, uuid: String)] {
        throw reason
    }

    /// Fails.
    public func info(_ name: DeviceName) throws(DeviceMapperError) -> DeviceInfo? { throw reason }

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

    /// Fails.
    public func removeWhenUnused(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        throw reason
    }

    /// Fails.
    public func table(_ name: DeviceName) throws(DeviceMapperError) -> [Target] { throw reason }

    /// Fails.
    public func status(_ name: DeviceName) throws(DeviceMapperError) -> [Target] { throw reason }

    /// Fails.
    public func inTransaction<Result>(
        _ body: (DeviceMapperTransaction) throws -> Result
    ) throws -> Result {
        throw reason
    }
}

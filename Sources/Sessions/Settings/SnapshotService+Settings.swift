/// For what runs on while somebody edits the configuration file.
extension SnapshotService {
    /// The rules as the configuration file has them now.
    public func rules() throws(SessionsError) -> [DeviceRule] {
        try Configuration(reading: layout).devices
    }

    /// What the configuration file says now, where that isn't what is in force; nil also where it can't be read: what
    /// somebody set stays until there is something else that can be. Rules for devices don't count.
    public func changedSettings() -> Configuration? {
        guard var now = try? Configuration(reading: layout) else { return nil }
        now.devices = configuration.devices
        return now == configuration ? nil : now
    }

    /// The same service with other settings.
    public func with(_ settings: Configuration) -> SnapshotService {
        SnapshotService(
            kernel: lifecycle.kernel, registry: lifecycle.registry, configuration: settings)
    }
}

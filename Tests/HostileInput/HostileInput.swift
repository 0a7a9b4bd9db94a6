/// Whatever reads something that somebody else may have written, given bytes that nobody meant.
public enum HostileInput {
    /// The readers' checks, by the names of their corpora. A check takes any bytes and returns; one that fails
    /// ends the process. One call of each at a time.
    public static let checks: [String: @Sendable ([UInt8]) -> Void] = [
        "archive": ArchiveReading.check,
        "store": StoreReading.check,
        "registry": RegistryReading.check,
        "record": RecordReading.check,
        "transfer": TransferReading.check,
        "configuration": ConfigurationReading.check,
        "filesystem": FileSystemReading.check,
    ]
}

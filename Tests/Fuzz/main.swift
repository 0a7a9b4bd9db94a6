import FoundationEssentials

/// What reads something that somebody else may have written, by the name of its corpus.
let checks: [String: ([UInt8]) -> Void] = [
    "archive": ArchiveReading.check,
    "store": StoreReading.check,
    "registry": RegistryReading.check,
    "record": RecordReading.check,
    "transfer": TransferReading.check,
    "configuration": ConfigurationReading.check,
    "filesystem": FileSystemReading.check,
]

guard let check = ProcessInfo.processInfo.environment["DMSNAP_FUZZ"].flatMap({ checks[$0] }) else {
    fatalError("DMSNAP_FUZZ is none of \(checks.keys.sorted())")
}
Fuzzer.run(check)

import Block
import SystemPackage

/// The sizes of the activated block devices, each an empty file whose name is the number of 512-byte
/// sectors, as sysfs has it: the udev rule starts a program only for a device whose size is there.
///
/// One too many costs a program's start; one that is missing lets others use a raw device at boot. So
/// they come before the registry that needs them, and go after it. Where the directory isn't there at all
/// (an earlier version has made the registry) the rule asks about every device.
struct ClaimedSizes: Sendable {
    let directory: FilePath

    static func sizes(in document: Registry.Document) -> Set<UInt64> {
        Set(
            document.activations.lazy.filter { $0.kind == .block }.map {
                $0.size.bytes / SectorCount.size
            })
    }

    /// Makes those that are missing; they are on stable storage when it returns.
    func add(_ sizes: Set<UInt64>) throws(SystemError) {
        guard Files.exists(directory) else {
            // It comes whole, or not at all.
            let unfinished = directory.appendingSuffix(".new")
            try Files.removeDirectory(unfinished)
            try Files.makeDirectory(unfinished)
            try make(sizes, in: unfinished)
            try Files.rename(unfinished, to: directory)
            return try Files.synchronizeDirectory(directory.removingLastComponent())
        }
        let missing = sizes.filter { !Files.exists(directory.appending("\($0)")) }
        if !missing.isEmpty { try make(missing, in: directory) }
    }

    private func make(_ sizes: Set<UInt64>, in directory: FilePath) throws(SystemError) {
        for size in sizes { _ = try OwnedDescriptor.create(directory.appending("\(size)")) }
        try Files.synchronizeDirectory(directory)
    }

    /// Removes all others, where that works.
    func keepOnly(_ sizes: Set<UInt64>) {
        let names = Set(sizes.map { "\($0)" })
        for name in (try? Files.list(directory)) ?? [] where !names.contains(name) {
            try? Files.remove(directory.appending(name))
        }
    }
}

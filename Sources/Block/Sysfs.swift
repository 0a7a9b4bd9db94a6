public import SystemPackage

/// Attributes and links of /sys for block devices (Documentation/ABI/stable/sysfs-block).
public enum Sysfs {
    /// The directory of the device with this number.
    public static func directory(_ number: DeviceNumber) -> FilePath {
        FilePath("/sys/dev/block/\(number)")
    }

    /// An attribute's text without the newline at its end; nil if there is no such attribute.
    public static func attribute(_ path: FilePath) -> String? {
        guard var bytes = try? Files.read(path) else { return nil }
        // As a byte: a file name that ends in \r makes one character of it and the newline.
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The kernel's name of a device: `sdb1`, `dm-3`.
    public static func kernelName(_ number: DeviceNumber) -> String? {
        guard let target = try? Files.resolve(directory(number)) else { return nil }
        // A `/` in a device's name stands as `!` in sysfs (cciss!c0d0).
        return target.lastComponent.map { component in
            String(component.string.map { $0 == "!" ? "/" : $0 })
        }
    }

    /// How many writes a device has completed since it appeared; nil if it isn't there.
    ///
    /// The fifth field of its `stat` (Documentation/block/stat.rst). Merged requests count as one,
    /// flushes and discards not at all, a bio-based device's each bio.
    ///
    /// - Returns: nil where nobody counts. `queue/iostats` doesn't say: device-mapper may count where
    ///   it is 0. But whatever was ever looked at has been read from.
    public static func writesCompleted(by number: DeviceNumber) -> UInt64? {
        attribute(directory(number).appending("stat")).flatMap { writesCompleted(statistics: $0) }
    }

    /// - Parameter statistics: numbers, right-aligned with spaces between them.
    static func writesCompleted(statistics: String) -> UInt64? {
        let fields = statistics.split(separator: " ")
        guard fields.count > 4, let writes = UInt64(fields[4]), writes > 0 || fields[0] != "0"
        else { return nil }
        return writes
    }

    /// Devices that are built on this one (`holders`), or that it is built on (`slaves`).
    public static func related(_ number: DeviceNumber, _ relation: String) -> [DeviceNumber] {
        let folder = directory(number).appending(relation)
        return ((try? Files.list(folder)) ?? []).compactMap { name in
            attribute(folder.appending(name).appending("dev")).flatMap { DeviceNumber($0) }
        }
    }

    /// The partitions of a whole disk.
    public static func partitions(_ number: DeviceNumber) -> [DeviceNumber] {
        let folder = directory(number)
        return ((try? Files.list(folder)) ?? []).compactMap { name in
            let part = folder.appending(name)
            guard Files.exists(part.appending("partition")) else { return nil }
            return attribute(part.appending("dev")).flatMap { DeviceNumber($0) }
        }
    }

    /// The whole disk that a partition is part of; nil for a whole disk.
    public static func disk(ofPartition number: DeviceNumber) -> DeviceNumber? {
        guard Files.exists(directory(number).appending("partition")),
            let folder = try? Files.resolve(directory(number))
        else { return nil }
        return attribute(folder.removingLastComponent().appending("dev")).flatMap {
            DeviceNumber($0)
        }
    }

    /// Everything that this device's contents rest on, itself included: the devices under
    /// device-mapper and md, whole disks under partitions, and the device that holds a loop
    /// device's backing file.
    public static func foundations(of number: DeviceNumber) -> Set<DeviceNumber> {
        var found: Set<DeviceNumber> = []
        var left = [number]
        while let next = left.popLast() {
            guard found.insert(next).inserted else { continue }
            left += related(next, "slaves")
            if let disk = disk(ofPartition: next) { left.append(disk) }
            if let holder = holder(ofLoop: next) { left.append(holder) }
        }
        return found
    }

    /// The device with the file system of a loop device's backing file.
    private static func holder(ofLoop number: DeviceNumber) -> DeviceNumber? {
        guard let file = attribute(directory(number).appending("loop/backing_file")) else {
            return nil
        }
        // A block device as the backing file is one itself: its node's file system says nothing.
        if let status = try? FileStatus(FilePath(file)), status.kind == .blockDevice {
            return status.deviceNumber
        }
        // The kernel's own word first: the path may be another mount namespace's, or deleted.
        if let name = kernelName(number), let loop = LoopDevice(FilePath("/dev/\(name)")),
            let holder = loop.backing.map({ DeviceNumber($0.fileSystem) }),
            Files.exists(directory(holder))
        {
            return holder
        }
        return MountTable.device(holding: FilePath(file))
    }
}

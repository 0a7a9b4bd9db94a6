internal import SystemPackage

/// What keeps a block device in use, besides programs that merely have it open.
public enum DeviceUse: Hashable, Sendable {
    /// Mounted, in this mount namespace or another.
    case mount(Mount)
    /// Swapped on.
    case swap
    /// Under another device: device-mapper's, md's.
    case holder(String)
    /// One of several devices of a mounted file system, by its UUID.
    case member(String)
    /// The same disk is used by another path to it, as this device.
    indirect case otherPath(String, DeviceUse)

    /// For messages: `it is mounted on /srv`.
    public var description: String {
        switch self {
        case .mount(let mount): "it is mounted on \(mount.target)"
        case .swap: "it is swapped on"
        case .holder(let name): "the device \(name) is built on it"
        case .member(let uuid): "it is one of the devices of the mounted file system \(uuid)"
        case .otherPath(let path, let use): "by its other path \(path): \(use.description)"
        }
    }
}

/// Finds what uses a device.
public enum DeviceUses {
    /// The uses that this namespace's mount table doesn't show: mounts in other namespaces, swap,
    /// devices built on it.
    ///
    /// It reads the mount table of one process in every other mount namespace, so ask only when
    /// something has the device open.
    public static func hidden(of number: DeviceNumber) -> [DeviceUse] {
        var uses: [DeviceUse] = mountsElsewhere(of: number).map { .mount($0) }
        if SwapTable.has(FileStatus(blockDevice: number)) { uses.append(.swap) }
        for holder in Sysfs.related(number, "holders") {
            let name =
                Sysfs.attribute(Sysfs.directory(holder).appending("dm/name"))
                ?? Sysfs.kernelName(holder) ?? "\(holder)"
            uses.append(.holder(name))
        }
        return uses + multipleDevices(of: number)
    }

    /// The mount table names one device of a btrfs; sysfs has them all
    /// (/sys/fs/btrfs/<uuid>/devices, there while it is mounted).
    private static func multipleDevices(of number: DeviceNumber) -> [DeviceUse] {
        guard let name = Sysfs.kernelName(number) else { return [] }
        let base = FilePath("/sys/fs/btrfs")
        return ((try? Files.list(base)) ?? []).compactMap { uuid in
            let device = base.appending(uuid).appending("devices").appending(name)
            return Files.exists(device) ? .member(uuid) : nil
        }
    }

    private static func mountsElsewhere(of number: DeviceNumber) -> [Mount] {
        var seen: Set<UInt64> = [namespace("/proc/self") ?? 0]
        var found: [Mount] = []
        for (_, process) in Proc.processes() {
            // A kernel thread, or one that has just ended, has none to read.
            guard let namespace = namespace(process), seen.insert(namespace).inserted,
                let mounts = try? MountTable.read(process.appending("mountinfo"))
            else { continue }
            found += mounts.filter { MountTable.isOf(number, $0) }
        }
        return found
    }

    /// A namespace's inode number; the same is the same namespace (namespaces(7)).
    private static func namespace(_ process: FilePath) -> UInt64? {
        try? FileStatus(process.appending("ns/mnt")).inode
    }
}

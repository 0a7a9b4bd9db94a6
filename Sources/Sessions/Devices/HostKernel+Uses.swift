public import Block
public import SystemPackage

/// What devices are used by, and rest on.
extension HostKernel {
    /// From /proc/self/mountinfo.
    public func mounts(of number: DeviceNumber) throws(SystemError) -> [Mount] {
        try MountTable.mounts(of: number)
    }

    /// From /proc and sysfs.
    public func hiddenUses(of number: DeviceNumber) -> [DeviceUse] {
        DeviceUses.hidden(of: number)
    }

    /// From the mount table and sysfs.
    public func foundations(ofDirectory path: FilePath) -> Set<DeviceNumber> {
        MountTable.device(holding: path).map { Sysfs.foundations(of: $0) } ?? []
    }

    /// From sysfs.
    public func foundations(of number: DeviceNumber) -> Set<DeviceNumber> {
        Sysfs.foundations(of: number)
    }

    /// By /etc/fstab.
    public func missingMount(around path: FilePath) -> FilePath? {
        MountTable.missingMount(around: path)
    }
}

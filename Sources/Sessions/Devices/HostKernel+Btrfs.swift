import Block
public import SystemPackage

extension HostKernel {
    /// Through /dev/btrfs-control.
    public func forgetBtrfs(on path: FilePath) { BtrfsDevices.forget(path) }

    /// Through /dev/btrfs-control.
    public func scanBtrfs(on path: FilePath) { BtrfsDevices.scan(path) }
}

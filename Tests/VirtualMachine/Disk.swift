public import SystemPackage

/// A disk of the machine: a file of the host, `/dev/vm/NAME` in the guest.
///
/// Booting again with the same file is what a reboot, or a start after a crash, does to a disk.
public struct Disk: Sendable, Hashable {
    /// The name in the guest; letters, digits, `-` and `_`.
    public var name: String
    /// The file. It is made, sparse, if it doesn't exist.
    public var path: FilePath
    /// The size of a new file; `nil` if the file must exist.
    public var size: Size?

    /// A disk in a file.
    public init(_ name: String, at path: FilePath, size: Size? = nil) {
        self.name = name
        self.path = path
        self.size = size
    }
}

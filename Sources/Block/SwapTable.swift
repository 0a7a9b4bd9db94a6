internal import CMount
internal import Glibc
internal import SystemPackage

/// What is swapped on, read with libmount.
public enum SwapTable {
    /// The paths of the devices and files that are swapped on, unescaped; none where the kernel has
    /// no swapping.
    public static func read() -> [ByteText] { read(nil) }

    /// - Parameter path: a file of the format of /proc/swaps (proc(5)), or that file itself.
    static func read(_ path: String?) -> [ByteText] {
        guard let table = unsafe mnt_new_table() else { return [] }
        defer { unsafe mnt_unref_table(table) }
        guard let iterator = unsafe mnt_new_iter(CInt(MNT_ITER_FORWARD)) else { return [] }
        defer { unsafe mnt_free_iter(iterator) }
        guard unsafe mnt_table_parse_swaps(table, path) == 0 else { return [] }
        var paths: [ByteText] = []
        var entry: OpaquePointer?
        while unsafe mnt_table_next_fs(table, iterator, &entry) == 0, let fs = unsafe entry {
            if let source = unsafe mnt_fs_get_srcpath(fs) {
                paths.append(ByteText(unsafe String(cString: source)))
            }
        }
        return paths
    }

    /// Whether this device or file is one of them, whatever path it was swapped on by.
    static func has(_ file: FileStatus, among paths: [ByteText] = read()) -> Bool {
        paths.contains { (try? FileStatus($0.path))?.isSame(as: file) ?? false }
    }
}

extension FileStatus {
    /// Whether both are of one file; or nodes, on whatever file systems, of one device.
    func isSame(as other: FileStatus) -> Bool {
        guard kind == other.kind else { return false }
        if kind == .blockDevice { return deviceNumber == other.deviceNumber }
        return inode == other.inode && fileSystem == other.fileSystem
    }
}

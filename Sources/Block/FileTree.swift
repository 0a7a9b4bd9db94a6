internal import CLinux
internal import Glibc
public import SystemPackage

/// Files as they lie in a directory, for comparing two trees of them.
public enum FileTree {
    /// What a file is, and what its file system says of it.
    public struct Entry: Hashable, Sendable {
        /// As `find -type` tells them apart.
        public enum Kind: String, Sendable, Codable {
            case file, directory, link, device, fifo, socket
        }

        /// The kind of file.
        public let kind: Kind
        /// The inode number.
        public let inode: UInt64
        /// In bytes.
        public let size: UInt64
        /// When the contents changed last, in nanoseconds since 1970.
        public let modified: Int64
        /// When anything of it changed last; nobody can set it.
        public let changed: Int64
        /// When it was made; 0 where the file system keeps no such note.
        public let born: Int64
        /// Permission bits, set-uid and the like included.
        public let permissions: UInt32
        /// User and group.
        public let owner, group: UInt32
        /// Of a device node, which.
        public let device: UInt64

        /// A file itself, no symbolic link followed.
        public init(_ path: FilePath) throws(SystemError) {
            var found = clinux_entry()
            try systemCall("statx", path.string) {
                unsafe path.withPlatformString { unsafe clinux_entry(-1, $0, &found) }
            }
            self.init(found)
        }

        init(_ found: clinux_entry) {
            kind =
                switch mode_t(found.mode) & S_IFMT {
                case S_IFDIR: .directory
                case S_IFLNK: .link
                case S_IFCHR, S_IFBLK: .device
                case S_IFIFO: .fifo
                case S_IFSOCK: .socket
                default: .file
                }
            inode = found.inode
            size = found.size
            modified = found.modified
            changed = found.changed
            born = found.born
            permissions = found.mode & 0o7777
            owner = found.owner
            group = found.group
            device = found.device
        }
    }

    /// Where a path leads in a tree, as if its root were the root directory: `..` and symbolic links can't
    /// lead out of it. Its last component is not followed.
    ///
    /// - Parameters:
    ///   - root: an open directory.
    ///   - prefix: what leads to that directory.
    public static func resolve(
        _ path: FilePath, within root: Int32, at prefix: FilePath
    ) throws(SystemError) -> FilePath {
        let opened = try systemCall("open", path.string) {
            unsafe path.withPlatformString { unsafe clinux_open_within(root, $0) }
        }
        defer { Glibc.close(opened) }
        let top = try link(FilePath("/proc/self/fd/\(root)"))
        let place = try link(FilePath("/proc/self/fd/\(opened)"))
        // Of a mount in no directory the kernel gives paths from its root on.
        var inside = place
        if top != FilePath("/"), !inside.removePrefix(top) {
            throw SystemError(operation: "open", path: path.string, errno: .noSuchFileOrDirectory)
        }
        return prefix.pushing(FilePath(root: nil, inside.components))
    }

    /// What a symbolic link says.
    public static func link(_ path: FilePath) throws(SystemError) -> FilePath {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = try systemCall("readlink", path.string) {
            Int32(
                clamping: unsafe path.withPlatformString {
                    unsafe readlink($0, &buffer, buffer.count - 1)
                })
        }
        buffer[Int(count)] = 0
        return FilePath(platformString: buffer)
    }
}

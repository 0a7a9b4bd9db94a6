import Glibc
import StoreTesting

/// The files below a directory as they are at one time, to be put back there as often as wanted.
///
/// Each keeps its inode, by which dmsnap knows files again: it has a second name elsewhere, and its
/// contents are written back in place. A directory that has gone is made anew.
final class KeptFiles {
    private struct Directory {
        let path: String
        let mode: mode_t
    }

    private struct File {
        let path: String
        /// Its second name.
        let kept: String
        let inode: ino_t
        let mode: mode_t
        let bytes: [UInt8]
    }

    private let root: String
    private let names: TemporaryDirectory
    /// Each after the one that it is in.
    private var directories: [Directory] = []
    private var files: [File] = []

    /// Keeps what is below `root`, which must be in a file system with the temporary directory: regular
    /// files and directories only.
    init(_ root: String) throws {
        self.root = root
        names = try TemporaryDirectory()
        try keep(root)
    }

    private func keep(_ directory: String) throws {
        for path in try Self.entries(directory) {
            let found = try Self.status(path)
            switch found.st_mode & S_IFMT {
            case S_IFDIR:
                directories.append(Directory(path: path, mode: found.st_mode & 0o7777))
                try keep(path)
            case S_IFREG:
                let kept = "\(names.path)/\(files.count)"
                try Self.check(unsafe link(path, kept), path)
                files.append(
                    File(
                        path: path, kept: kept, inode: found.st_ino, mode: found.st_mode & 0o7777,
                        bytes: try Self.opened(kept) { try Self.bytes($0, kept) }))
            default: throw Unexpected("\(path), which is neither a file nor a directory")
            }
        }
    }

    /// Makes everything below the directory what it was.
    func putBack() throws {
        try removeOthers(root, Set(directories.map(\.path)), filesByPath())
        for directory in directories where unsafe access(directory.path, F_OK) != 0 {
            try Self.check(unsafe mkdir(directory.path, directory.mode), directory.path)
            try Self.check(unsafe chmod(directory.path, directory.mode), directory.path)
        }
        for file in files {
            try Self.opened(file.kept) { try Self.write(file.bytes, to: $0, file.kept) }
            try Self.check(unsafe chmod(file.kept, file.mode), file.kept)
            guard unsafe access(file.path, F_OK) != 0 else { continue }
            try Self.check(unsafe link(file.kept, file.path), file.path)
        }
    }

    private func filesByPath() -> [String: ino_t] {
        Dictionary(uniqueKeysWithValues: files.map { ($0.path, $0.inode) })
    }

    /// Removes what was not there, or is not what was there.
    private func removeOthers(
        _ directory: String, _ directories: Set<String>, _ files: [String: ino_t]
    ) throws {
        for path in try Self.entries(directory) {
            let found = try Self.status(path)
            if found.st_mode & S_IFMT == S_IFDIR {
                try removeOthers(path, directories, files)
                if !directories.contains(path) { try Self.check(unsafe rmdir(path), path) }
            } else if files[path] != found.st_ino {
                try Self.check(unsafe unlink(path), path)
            }
        }
    }

    private static func check(_ result: CInt, _ path: String) throws {
        if result < 0 { throw Unexpected("\(path): error \(errno)") }
    }

    private static func status(_ path: String) throws -> stat {
        var found = stat()
        try check(unsafe lstat(path, &found), path)
        return found
    }

    /// The paths of what is in a directory.
    private static func entries(_ directory: String) throws -> [String] {
        guard let stream = unsafe opendir(directory) else {
            throw Unexpected("\(directory): error \(errno)")
        }
        defer { unsafe closedir(stream) }
        var paths: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { paths.append("\(directory)/\(name)") }
        }
        return paths
    }

    private static func opened<Result>(
        _ path: String, _ body: (CInt) throws -> Result
    ) throws -> Result {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        try check(file, path)
        defer { close(file) }
        return try body(file)
    }

    private static func bytes(_ file: CInt, _ path: String) throws -> [UInt8] {
        var found = stat()
        try check(unsafe fstat(file, &found), path)
        var bytes = [UInt8](repeating: 0, count: Int(found.st_size))
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe pread(file, buffer.baseAddress, buffer.count, 0)
        }
        guard count == bytes.count else { throw Unexpected("\(path): \(count) bytes") }
        return bytes
    }

    /// Writes what differs, so that holes stay holes.
    private static func write(_ bytes: [UInt8], to file: CInt, _ path: String) throws {
        var now = try Self.bytes(file, path)
        if now == bytes { return }
        if now.count != bytes.count {
            try check(ftruncate(file, bytes.count), path)
            now = try Self.bytes(file, path)
        }
        for start in stride(from: 0, to: bytes.count, by: 4096) {
            let block = bytes[start..<min(start + 4096, bytes.count)]
            guard block != now[start..<block.endIndex] else { continue }
            let count = unsafe block.withUnsafeBytes { buffer in
                unsafe pwrite(file, buffer.baseAddress, buffer.count, start)
            }
            guard count == block.count else { throw Unexpected("\(path): \(count) bytes") }
        }
    }
}

internal import CLinux
internal import Glibc
public import SystemPackage

extension FileTree {
    /// A file's name, whatever its bytes are.
    public struct Name: Hashable, Comparable, Sendable {
        /// With the zero at their end.
        private let bytes: [CInterop.PlatformChar]

        fileprivate init(_ name: UnsafePointer<CInterop.PlatformChar>) {
            bytes = unsafe Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1))
        }

        fileprivate var isDots: Bool {
            let dot = CInterop.PlatformChar(UInt8(ascii: "."))
            return bytes == [dot, 0] || bytes == [dot, dot, 0]
        }

        /// As a part of a path.
        public func appended(to path: FilePath) -> FilePath {
            unsafe bytes.withUnsafeBufferPointer { bytes in
                guard let start = bytes.baseAddress,
                    let component = unsafe FilePath.Component(platformString: start)
                else { return path }
                return path.appending(component)
            }
        }

        /// The order of the bytes.
        public static func < (left: Name, right: Name) -> Bool {
            unsafe strcmp(left.bytes, right.bytes) < 0
        }

        fileprivate func with<Result>(
            _ body: (UnsafePointer<CInterop.PlatformChar>) -> Result
        ) -> Result {
            unsafe bytes.withUnsafeBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return unsafe body("") }
                return unsafe body(start)
            }
        }
    }

    /// An open directory: what is in it is found by its name alone, however long the path to it is.
    @safe public struct Directory: ~Copyable {
        private let stream: OpaquePointer
        /// For messages.
        private let path: FilePath

        /// - Throws: `system`.
        public init(_ path: FilePath) throws(SystemError) {
            guard let opened = unsafe path.withPlatformString({ unsafe opendir($0) }) else {
                throw SystemError(
                    operation: "opendir", path: path.string, errno: Errno(rawValue: errno))
            }
            unsafe stream = opened
            self.path = path
        }

        /// The directory of this name in another one; no symbolic link.
        public init(_ name: Name, in parent: borrowing Directory) throws(SystemError) {
            let path = name.appended(to: parent.path)
            let descriptor = try systemCall("open", path.string) {
                unsafe name.with {
                    unsafe openat(
                        dirfd(parent.stream), $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                }
            }
            guard let opened = unsafe fdopendir(descriptor) else {
                let error = Errno(rawValue: errno)
                Glibc.close(descriptor)
                throw SystemError(operation: "opendir", path: path.string, errno: error)
            }
            unsafe stream = opened
            self.path = path
        }

        deinit {
            unsafe closedir(stream)
        }

        /// A name in it, and what the directory itself says of that.
        public struct Listed: Comparable, Sendable {
            /// Its name.
            public let name: Name
            /// The inode's number.
            public let inode: UInt64
            /// The kind of file; nil where the directory doesn't say.
            public let kind: Entry.Kind?

            /// The order of the names.
            public static func < (left: Listed, right: Listed) -> Bool { left.name < right.name }
        }

        /// What is in it, in the order of the names.
        public func listing() throws(SystemError) -> [Listed] {
            var listing: [Listed] = []
            unsafe rewinddir(stream)
            while true {
                errno = 0
                guard let entry = unsafe readdir(stream) else {
                    if errno == 0 { break }
                    throw SystemError(
                        operation: "readdir", path: path.string, errno: Errno(rawValue: errno))
                }
                let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    unsafe pointer.withMemoryRebound(
                        to: CInterop.PlatformChar.self, capacity: 256
                    ) { unsafe Name($0) }
                }
                if name.isDots { continue }
                let found = unsafe (entry.pointee.d_ino, entry.pointee.d_type)
                listing.append(
                    Listed(name: name, inode: UInt64(found.0), kind: Self.kind(Int(found.1))))
            }
            return listing.sorted()
        }

        private static func kind(_ type: Int) -> Entry.Kind? {
            switch type {
            case DT_REG: .file
            case DT_DIR: .directory
            case DT_LNK: .link
            case DT_CHR, DT_BLK: .device
            case DT_FIFO: .fifo
            case DT_SOCK: .socket
            default: nil
            }
        }

        /// What has this name in it; nil if nothing has.
        public func entry(_ name: Name) throws(SystemError) -> Entry? {
            var found = clinux_entry()
            if unsafe name.with({ unsafe clinux_entry(dirfd(stream), $0, &found) }) == 0 {
                return Entry(found)
            }
            let error = Errno(rawValue: errno)
            if error == .noSuchFileOrDirectory { return nil }
            throw SystemError(
                operation: "statx", path: name.appended(to: path).string, errno: error)
        }
    }
}

internal import CLinux
internal import Glibc
public import SystemPackage

/// Who else uses an image file, as far as can be told without being root.
///
/// Loop devices are another such use: `LoopDevice.holders(ofFileAt:)`.
public enum FileUse {
    /// A lock that somebody holds on a part of a file, or a lease (fcntl(2)).
    public struct ForeignLock: Hashable, Sendable {
        /// What kind it is.
        public enum Kind: Hashable, Sendable {
            /// Shared with others who read. QEMU takes such ones on a few bytes, also to write.
            case reading
            case writing
            /// Its holder, a file server for example, is asked before others open the file.
            case lease
        }

        /// What it is.
        public let kind: Kind
        /// The process that holds it; nil if that can't be told, as for locks of open file
        /// descriptions, which QEMU's are.
        public let process: Int32?

        /// A lock, from its parts.
        public init(kind: Kind, process: Int32?) {
            self.kind = kind
            self.process = process
        }
    }

    /// Whether the file is swapped on.
    public static func isSwappedOn(_ path: FilePath) throws(SystemError) -> Bool {
        try SwapTable.has(FileStatus(path))
    }

    /// A lock or lease of somebody else's that a program which writes to the file would have to
    /// respect; nil if there is none.
    ///
    /// flock(2)'s are not among them: they are another world (and `FileLock`'s). The file is opened
    /// for reading, so nobody who watches it for writers sees one, and closing it drops the locks
    /// that *this process* has on it by fcntl's F_SETLK (it takes none).
    public static func foreignLock(_ path: FilePath) throws(SystemError) -> ForeignLock? {
        let status = try FileStatus(path)
        if let lease = lease(on: status) { return lease }
        do throws(SystemError) {
            // A lease would have the open wait until its holder has given it up.
            return try recordLock(on: .make("open", path, .readOnly, [.nonBlocking]))
        } catch {
            if error.errno == .wouldBlock { return ForeignLock(kind: .lease, process: nil) }
            throw error
        }
    }

    private static func recordLock(
        on file: consuming OwnedDescriptor
    ) throws(SystemError) -> ForeignLock? {
        var isWriting: CInt = 0
        var owner: pid_t = 0
        let descriptor = file.descriptor.rawValue
        let found = try systemCall("F_OFD_GETLK", file.path.string) {
            unsafe clinux_get_lock(descriptor, &isWriting, &owner)
        }
        guard found != 0 else { return nil }
        return ForeignLock(
            kind: isWriting != 0 ? .writing : .reading, process: owner > 0 ? owner : nil)
    }

    private static func lease(on file: FileStatus) -> ForeignLock? {
        guard let bytes = try? Files.read("/proc/locks") else { return nil }
        return lease(on: file, locks: String(decoding: bytes, as: UTF8.self))
    }

    /// - Parameter locks: lines as `1: LEASE  ACTIVE    READ  4711 fe:01:1234 0 EOF`, the file by its
    ///   device's number in hexadecimal and its inode's in decimal (fs/locks.c); `->` instead of a
    ///   number stands for who waits.
    static func lease(on file: FileStatus, locks: String) -> ForeignLock? {
        let number = DeviceNumber(file.fileSystem)
        for line in locks.split(separator: "\n") {
            let words = line.split(separator: " ").drop { $0.hasSuffix(":") || $0 == "->" }
            guard words.count >= 5, words[words.startIndex] == "LEASE" else { continue }
            let place = words[words.startIndex + 4].split(separator: ":")
            guard place.count == 3, UInt32(place[0], radix: 16) == number.major,
                UInt32(place[1], radix: 16) == number.minor, UInt64(place[2]) == file.inode
            else { continue }
            let process = Int32(words[words.startIndex + 3])
            return ForeignLock(kind: .lease, process: process.flatMap { $0 > 0 ? $0 : nil })
        }
        return nil
    }
}

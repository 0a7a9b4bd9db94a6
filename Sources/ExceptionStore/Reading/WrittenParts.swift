internal import Block
internal import CStatfs
internal import Glibc
internal import SystemPackage

/// The parts of a store's file that were ever written.
///
/// The kernel writes whatever it then refers to, zeros too. So a hole under it means that the file
/// isn't the one the kernel wrote: it was cut short and made long again, or put together anew.
struct WrittenParts {
    private static let seekData: Int32 = 3
    private static let seekHole: Int32 = 4
    /// File systems that make holes of zeros that were written, or hand on what another one says:
    /// ZFS, which has no number in the kernel's headers, and those that a server or a program is
    /// behind. Their holes say nothing.
    private static let holesOfZeros: Set<Int> = [
        0x2fc1_2fc1, Int(NFS_SUPER_MAGIC), Int(SMB_SUPER_MAGIC), Int(CIFS_SUPER_MAGIC),
        Int(SMB2_SUPER_MAGIC), Int(FUSE_SUPER_MAGIC), Int(V9FS_MAGIC), Int(CEPH_SUPER_MAGIC),
    ]

    private let descriptor: FileDescriptor
    private let path: FilePath
    /// Whether the store is a file on a file system whose holes say something.
    private let tells: Bool
    /// The part that was found last.
    private var part: Range<UInt64> = 0..<0

    /// - Parameter believingHoles: Else all of the store counts as written.
    init(
        of store: borrowing OwnedDescriptor, believingHoles: Bool
    ) throws(ExceptionStoreError) {
        descriptor = store.descriptor
        path = store.path
        tells = believingHoles ? try Self.tells(store) : false
    }

    private static func tells(
        _ store: borrowing OwnedDescriptor
    ) throws(ExceptionStoreError) -> Bool {
        var file = stat()
        guard unsafe fstat(store.descriptor.rawValue, &file) == 0 else {
            throw .system(failure("fstat", store.path))
        }
        guard file.st_mode & S_IFMT == S_IFREG else { return false }
        var system = statfs()
        guard unsafe fstatfs(store.descriptor.rawValue, &system) == 0 else {
            throw .system(failure("fstatfs", store.path))
        }
        return !holesOfZeros.contains(Int(system.f_type))
    }

    /// The first byte of a range that was never written, or that the file hasn't got; nil if all of
    /// it was written.
    ///
    /// Ranges come in ascending order: then each part of the file is looked for once, and parts in
    /// which nothing is asked for not at all.
    mutating func hole(in range: Range<UInt64>) throws(ExceptionStoreError) -> UInt64? {
        guard tells, !range.isEmpty else { return nil }
        if !part.contains(range.lowerBound) {
            guard let start = try seek(Self.seekData, range.lowerBound), start == range.lowerBound
            else { return range.lowerBound }
            part = start..<(try seek(Self.seekHole, start) ?? .max)
        }
        return part.upperBound < range.upperBound ? part.upperBound : nil
    }

    /// Where the next data or the next hole is; nil where there is none.
    private func seek(
        _ whence: Int32, _ offset: UInt64
    ) throws(ExceptionStoreError) -> UInt64? {
        let found = lseek(descriptor.rawValue, off_t(clamping: offset), whence)
        if found >= 0 { return UInt64(found) }
        switch errno {
        case ENXIO: return nil
        // The file system knows no holes.
        case EINVAL: return whence == Self.seekData ? offset : nil
        default: throw .system(Self.failure("lseek", path))
        }
    }

    private static func failure(_ operation: String, _ path: FilePath) -> SystemError {
        SystemError(operation: operation, path: path.string, errno: Errno(rawValue: errno))
    }
}

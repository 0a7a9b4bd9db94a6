package import Block
internal import Glibc
package import SystemPackage

/// Opening files that somebody else may have put there.
package enum PlainFile {
    /// Why a file is not opened.
    package enum Failure: Error {
        case system(SystemError)
        /// It is something else; what, with its article.
        case notPlain(String)
    }

    /// open(2)'s O_PATH, which the headers give to _GNU_SOURCE only.
    private static let pathOnly = FileDescriptor.OpenOptions(rawValue: 0o1000_0000)

    /// Opens a regular file, or a link to one, for reading; anything else is refused at once.
    ///
    /// To open a FIFO is to wait for its writer, and to open a device can be to do something with
    /// it. So what is there is looked at through a descriptor that does neither, and it has to be
    /// the same file that is then opened.
    package static func open(_ path: FilePath) throws(Failure) -> OwnedDescriptor {
        do {
            let seen = try FileDescriptor.open(
                path, .readOnly, options: [.closeOnExec, pathOnly])
            defer { try? seen.close() }
            let status = try status(of: seen)
            if let kind = kind(status) { throw Failure.notPlain(kind) }
            let opened = try OwnedDescriptor.open(path, .readOnly)
            let now = try Self.status(of: opened.descriptor)
            guard now.st_dev == status.st_dev, now.st_ino == status.st_ino else {
                throw Errno(rawValue: ESTALE)
            }
            return opened
        } catch let failure as Failure {
            throw failure
        } catch let error as SystemError {
            throw .system(error)
        } catch {
            throw .system(
                SystemError(
                    operation: "open", path: path.string, errno: error as? Errno ?? .ioError))
        }
    }

    private static func status(of descriptor: FileDescriptor) throws(Errno) -> stat {
        var status = stat()
        guard unsafe fstat(descriptor.rawValue, &status) == 0 else {
            throw Errno(rawValue: errno)
        }
        return status
    }

    /// What it is instead of a regular file; nil if it is one.
    private static func kind(_ status: stat) -> String? {
        switch status.st_mode & S_IFMT {
        case S_IFREG: nil
        case S_IFDIR: "a directory"
        case S_IFIFO: "a FIFO"
        case S_IFSOCK: "a socket"
        case S_IFBLK: "a block device"
        default: "a character device"
        }
    }
}

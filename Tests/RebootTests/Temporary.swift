import Glibc
import SystemPackage

/// A directory of our own on a real file system: disks in it are sparse and can be large.
func makeTemporaryDirectory() throws -> FilePath {
    var template = Array("/var/tmp/dmsnap-reboot.XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
        unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) } != nil
    }
    guard made else { throw Errno(rawValue: errno) }
    return FilePath(
        template.dropLast().map { Character(Unicode.Scalar(UInt8($0))) }.reduce(
            into: "", { $0.append($1) }))
}

/// Removes a directory of plain files.
func removeTree(_ directory: FilePath) throws {
    for name in ["system", "sessions", "a", "b", "kernel.log"] {
        let file = directory.appending(name)
        _ = unsafe file.withPlatformString { unsafe unlink($0) }
    }
    guard unsafe directory.withPlatformString({ unsafe rmdir($0) }) == 0 else {
        throw Errno(rawValue: errno)
    }
}

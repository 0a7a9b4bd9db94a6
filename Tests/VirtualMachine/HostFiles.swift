import Foundation
import SystemPackage

/// What must be found out about the host's files.
enum HostFiles {
    static var currentDirectory: FilePath {
        FilePath(FileManager.default.currentDirectoryPath)
    }

    /// The same file by a path without symbolic links; `nil` if there is none.
    static func canonical(_ path: FilePath) -> FilePath? {
        guard let resolved = unsafe realpath(path.string, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe FilePath(String(cString: resolved))
    }

    static func exists(_ path: FilePath) -> Bool {
        unsafe access(path.string, F_OK) == 0
    }

    static func isDirectory(_ path: FilePath) -> Bool {
        var directory: ObjCBool = false
        let exists = unsafe FileManager.default.fileExists(
            atPath: path.string, isDirectory: &directory)
        return exists && directory.boolValue
    }

    static func isSymbolicLink(_ path: FilePath) -> Bool {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: path.string)) != nil
    }

    /// The outermost directory around `directory` that holds a checkout or a package, or itself.
    static func repository(around directory: FilePath) -> FilePath {
        var found = directory
        var candidate = directory
        while candidate.components.count > 1 {
            if exists(candidate.appending(".git")) || exists(candidate.appending("Package.swift")) {
                found = candidate
            }
            candidate.removeLastComponent()
        }
        return found
    }

    /// The directory for the file that is the guest's memory: in memory, if there is room for it
    /// and programs may be mapped from there; `nil` if not, and it must be on a disk.
    static func directoryForMemory(_ size: Size) -> FilePath? {
        var information = statvfs()
        let shared = FilePath("/dev/shm")
        guard unsafe statvfs(shared.string, &information) == 0,
            information.f_flag & noExecution == 0,
            UInt64(information.f_bavail) * UInt64(information.f_frsize) >= UInt64(size.bytes),
            unsafe access(shared.string, W_OK) == 0
        else { return nil }
        return shared
    }

    /// ST_NOEXEC of <sys/statvfs.h>, which the module map leaves out.
    private static let noExecution: UInt = 8

    /// A new directory for this user alone.
    static func makePrivateDirectory(in parent: FilePath) throws(MachineError) -> FilePath {
        let template = unsafe strdup(parent.appending("vm-XXXXXX").string)
        defer { unsafe free(template) }
        guard let template = unsafe template, let path = unsafe mkdtemp(template) else {
            throw .system(Errno(rawValue: errno), parent.string)
        }
        return unsafe FilePath(String(cString: path))
    }

    /// Makes a file of that size without allocating it.
    static func makeSparse(_ path: FilePath, _ size: Size) throws(MachineError) {
        let file = try openFile(path, .writeOnly, options: [.create, .exclusiveCreate])
        defer { try? file.close() }
        guard ftruncate(file.rawValue, off_t(size.bytes)) == 0 else {
            throw .system(Errno(rawValue: errno), path.string)
        }
    }

    /// Copies a directory of plain files and links. (FileManager's own copy wants to keep the
    /// owner, which only root can.)
    static func copy(_ source: FilePath, to target: FilePath) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: target.string, withIntermediateDirectories: false)
        for name in try files.contentsOfDirectory(atPath: source.string) {
            let (from, to) = (source.appending(name), target.appending(name))
            if let link = try? files.destinationOfSymbolicLink(atPath: from.string) {
                try files.createSymbolicLink(atPath: to.string, withDestinationPath: link)
            } else if isDirectory(from) {
                try copy(from, to: to)
            } else {
                let mode = unsafe access(from.string, X_OK) == 0 ? 0o755 : 0o644
                try Data(contentsOf: URL(fileURLWithPath: from.string))
                    .write(to: URL(fileURLWithPath: to.string))
                try files.setAttributes([.posixPermissions: mode], ofItemAtPath: to.string)
            }
        }
    }

    /// A program's path, looked for in PATH and where Debian puts the ones we need.
    static func program(_ name: String) -> FilePath? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return (path.split(separator: ":").map(String.init) + ["/usr/bin"])
            .map { FilePath($0).appending(name) }
            .first { unsafe access($0.string, X_OK) == 0 }
    }
}

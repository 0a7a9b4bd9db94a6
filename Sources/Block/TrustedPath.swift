internal import Glibc
public import SystemPackage

/// A path that nobody but root and the caller can lead elsewhere.
///
/// It is walked as the kernel walks it, one name after another, and each step is looked at without
/// following it. A directory on the way must be root's or the caller's own, and nobody else may write to
/// it; in one that everybody may write to with the sticky bit (`/tmp`), only what is root's or the
/// caller's is gone into. A symbolic link that is found so is followed: whoever made it could have made
/// a directory. What was reached stays what it is, since only root and the caller can change any of it:
/// so it may be opened by its path afterwards.
public struct TrustedPath: Sendable {
    /// The absolute path without symbolic links, `.` or `..`. What a link of proc's own leads to has no
    /// path: it stays that link (`/proc/PID/fd/3`).
    public private(set) var path = FilePath("/")
    /// What is there.
    public private(set) var status: FileStatus
    private let trusted: Set<UInt32>

    /// As in the kernel (path_resolution(7)).
    private static let mostLinks = 40
    private static let remedy =
        "run `chmod go-w` on it, or `chmod 700` if sessions are in it"

    /// Walks a path to something that exists.
    ///
    /// - Parameter owner: one more user whose directories may lie on the way: the owner of the file, who
    ///   can change it anyway. In a directory that everybody may write to he counts for nothing.
    /// - Throws: what stat(2) fails with; or a `refusal`, which names the step and what to do.
    public init(_ path: FilePath, trusting owner: UInt32? = nil) throws(SystemError) {
        trusted = Set([0, geteuid(), owner].compactMap { $0 })
        status = try FileStatus("/")
        try examine(status, at: "/")
        var pending = Array(try Self.absolute(path).components.reversed())
        var links = 0
        while let next = pending.popLast() {
            switch next.kind {
            case .currentDirectory: continue
            case .parentDirectory:
                self.path.removeLastComponent()
                status = try FileStatus(self.path)
            case .regular:
                guard let target = try go(to: next, isLast: pending.isEmpty) else { continue }
                links += 1
                guard links <= Self.mostLinks else {
                    throw SystemError(
                        operation: "walk", path: path.string, errno: .tooManySymbolicLinkLevels)
                }
                if target.isAbsolute {
                    self.path = "/"
                    status = try FileStatus("/")
                }
                pending += target.components.reversed()
            }
        }
    }

    /// Refuses a directory that others than root and the caller may write to, though they may have to
    /// take turns.
    public func requireOurs() throws(SystemError) {
        guard status.permissions & 0o022 == 0 else {
            throw refusal(path, "others may write to it; \(Self.remedy)")
        }
    }

    /// The directory at a path, which root and the caller alone may change.
    ///
    /// - Throws: as the walk, and as `requireOurs`.
    public static func ours(_ path: FilePath) throws(SystemError) -> FilePath {
        let there = try TrustedPath(path)
        try there.requireOurs()
        return there.path
    }

    /// Takes one step.
    ///
    /// - Returns: where a symbolic link leads; nil if it was none, or was gone through.
    private mutating func go(
        to name: FilePath.Component, isLast: Bool
    ) throws(SystemError) -> FilePath? {
        let child = path.appending(name)
        let found = try FileStatus(child, follow: false)
        // Where everybody may make names, a stranger's leads where he wants.
        if status.permissions & 0o022 != 0, found.owner != 0, found.owner != geteuid() {
            throw refusal(
                child, "it is another user's, in a directory that others may write to; use another")
        }
        guard trusted.contains(found.owner) else {
            throw refusal(
                child,
                "it is another user's, who could put something else in its place; "
                    + "run `chown root` on it, or use another")
        }
        if found.kind == .symbolicLink {
            // One of proc's own leads to what a process has open, be it with a name or without.
            if isLast, path.starts(with: "/proc"), let opened = try? FileStatus(child),
                opened.kind != .directory
            {
                path = child
                status = opened
                return nil
            }
            return try Self.target(child)
        }
        path = child
        // Through the directory: what is mounted on it, by an automounter, too.
        status = found.kind == .directory ? try FileStatus(child.appending(".")) : found
        if found.kind == .directory { try examine(status, at: child) }
        return nil
    }

    private func examine(_ directory: FileStatus, at path: FilePath) throws(SystemError) {
        guard trusted.contains(directory.owner) else {
            throw refusal(
                path,
                "it is another user's, who could put something else in its place; "
                    + "run `chown root` on it, or use another")
        }
        guard directory.permissions & 0o022 == 0 || directory.permissions & 0o1000 != 0 else {
            throw refusal(
                path,
                "others may write to it, and could put something else in its place; "
                    + Self.remedy)
        }
    }

    private func refusal(_ path: FilePath, _ reason: String) -> SystemError {
        SystemError(
            operation: "walk", path: path.string, errno: .notPermitted, refusal: reason)
    }

    private static func absolute(_ path: FilePath) throws(SystemError) -> FilePath {
        if path.isAbsolute { return path }
        guard let here = unsafe getcwd(nil, 0) else {
            throw SystemError(operation: "getcwd", path: ".", errno: Errno(rawValue: errno))
        }
        defer { unsafe free(here) }
        return unsafe FilePath(platformString: here).pushing(path)
    }

    private static func target(_ link: FilePath) throws(SystemError) -> FilePath {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let room = buffer.count - 1
        try systemCall("readlink", link.string) {
            unsafe link.withPlatformString { unsafe readlink($0, &buffer, room) }
        }
        return FilePath(platformString: buffer)
    }
}

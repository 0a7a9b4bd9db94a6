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
    public let path: FilePath
    /// What is there.
    public let status: FileStatus

    /// Walks a path to something that exists.
    ///
    /// - Parameter owner: one more user whose directories may lie on the way: the owner of the file,
    ///   who can change it anyway. In a directory that everybody may write to he counts for nothing.
    /// - Throws: what stat(2) fails with; or a `refusal`, which names the step and what to do.
    public init(_ path: FilePath, trusting owner: UInt32? = nil) throws(SystemError) {
        var walk = try Walk(trusting: owner)
        try walk.follow(path)
        self.path = walk.path
        status = walk.status
    }

    /// Refuses a directory that others than root and the caller may write to, though they may have to
    /// take turns.
    public func requireOurs() throws(SystemError) {
        guard !status.isForOthersToWrite else {
            throw Walk.refusal(path, "others may write to it; \(Walk.remedy)")
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
}

extension FileStatus {
    fileprivate var isForOthersToWrite: Bool { permissions & 0o022 != 0 }
}

/// A walk, and how far it has come. It is done for every look at the registry, so it is done in bytes.
private struct Walk {
    /// As in the kernel (path_resolution(7)).
    static let mostLinks = 40
    static let remedy = "run `chmod go-w` on it, or `chmod 700` if sessions are in it"

    /// Where it is: each name with a slash before it, and nothing at the root.
    private var reached: [CChar] = []
    /// What is there.
    private(set) var status: FileStatus
    /// The names to go on with, the next one last.
    private var pending: [ArraySlice<CChar>] = []
    private let trusted: Set<UInt32>
    private let own: UInt32

    private static let slash = CChar(UInt8(ascii: "/"))
    private static let dot = CChar(UInt8(ascii: "."))

    init(trusting owner: UInt32?) throws(SystemError) {
        own = geteuid()
        trusted = Set([0, own, owner].compactMap { $0 })
        status = try Self.look([Self.slash, 0])
        try examine(status)
    }

    /// Where it has come to.
    var path: FilePath {
        FilePath(platformString: reached.isEmpty ? [Self.slash, 0] : reached + [0])
    }

    mutating func follow(_ path: FilePath) throws(SystemError) {
        if !path.isAbsolute {
            guard let here = unsafe getcwd(nil, 0) else {
                throw SystemError(operation: "getcwd", path: ".", errno: Errno(rawValue: errno))
            }
            defer { unsafe free(here) }
            push(unsafe FilePath(platformString: here))
            try run()
        }
        push(path)
        try run()
    }

    private mutating func push(_ path: FilePath) {
        let bytes = unsafe path.withPlatformString { start in
            unsafe Array(UnsafeBufferPointer(start: start, count: strlen(start)))
        }
        pending += bytes.split(separator: Self.slash).reversed()
    }

    private mutating func run() throws(SystemError) {
        var links = 0
        while let name = pending.popLast() {
            if name.elementsEqual([Self.dot]) { continue }
            if name.elementsEqual([Self.dot, Self.dot]) {
                reached.removeSubrange((reached.lastIndex(of: Self.slash) ?? 0)...)
                status = try Self.look(reached + [Self.slash, Self.dot, 0])
                continue
            }
            guard let target = try go(to: name) else { continue }
            links += 1
            guard links <= Self.mostLinks else {
                throw SystemError(
                    operation: "walk", path: path.string, errno: .tooManySymbolicLinkLevels)
            }
            if target.isAbsolute {
                reached = []
                status = try Self.look([Self.slash, 0])
            }
            push(target)
        }
    }

    /// Takes one step.
    ///
    /// - Returns: where a symbolic link leads; nil if it was none, or was gone through.
    private mutating func go(to name: ArraySlice<CChar>) throws(SystemError) -> FilePath? {
        let (above, before) = (status, reached)
        reached.append(Self.slash)
        reached += name
        let found = try Self.look(reached + [0])
        // Where everybody may make names, a stranger's leads where he wants.
        if above.isForOthersToWrite, found.owner != 0, found.owner != own {
            throw Self.refusal(
                path, "it is another user's, in a directory that others may write to; use another")
        }
        try requireTrusted(found)
        if found.kind == .symbolicLink {
            // One of proc's own leads to what a process has open, be it with a name or without.
            if pending.isEmpty, path.starts(with: "/proc"), let opened = try? FileStatus(path),
                opened.kind != .directory
            {
                status = opened
                return nil
            }
            let target = try Self.target(path)
            reached = before
            return target
        }
        status = found
        guard found.kind == .directory else { return nil }
        // Where something is mounted, the step leads to what that has at its top; and an automounter
        // mounts it only when it is gone through.
        if found.fileSystem != above.fileSystem {
            status = try Self.look(reached + [Self.slash, Self.dot, 0])
        }
        try examine(status)
        return nil
    }

    private func requireTrusted(_ found: FileStatus) throws(SystemError) {
        guard trusted.contains(found.owner) else {
            throw Self.refusal(
                path,
                "it is another user's, who could put something else in its place; "
                    + "run `chown root` on it, or use another")
        }
    }

    private func examine(_ directory: FileStatus) throws(SystemError) {
        try requireTrusted(directory)
        guard !directory.isForOthersToWrite || directory.permissions & 0o1000 != 0 else {
            throw Self.refusal(
                path,
                "others may write to it, and could put something else in its place; "
                    + Self.remedy)
        }
    }

    static func refusal(_ path: FilePath, _ reason: String) -> SystemError {
        SystemError(operation: "walk", path: path.string, errno: .notPermitted, refusal: reason)
    }

    /// - Parameter path: with its zero; a symbolic link there is not followed.
    private static func look(_ path: [CChar]) throws(SystemError) -> FileStatus {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else {
            throw SystemError(
                operation: "stat", path: FilePath(platformString: path).string,
                errno: Errno(rawValue: errno))
        }
        return FileStatus(status)
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

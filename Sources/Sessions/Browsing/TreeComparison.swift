import Block
import SystemPackage

/// Compares two mounts of one file system, at two moments.
///
/// Directories are gone through side by side, so that memory is taken for what differs alone. Contents are
/// read only where the file system can't say by itself that they are the same: nobody can set the time at
/// which a file was changed last.
struct TreeComparison {
    /// The tree before, and after.
    let before, after: FilePath
    /// Whether the file system keeps the time of the last change of anything; vfat doesn't.
    let keepsChangeTimes: Bool

    /// Is told now and then how many files were looked at.
    let progress: (Int) -> Void

    private var examined = 0
    private var changes: [FileChange] = []
    private var gone: [Found] = []
    private var come: [Found] = []

    /// A file that is in one tree only, as far as is known yet.
    private struct Found {
        let path: FilePath
        let entry: FileTree.Entry
    }

    init(
        before: FilePath, after: FilePath, keepsChangeTimes: Bool,
        progress: @escaping (Int) -> Void = { _ in }
    ) {
        self.progress = progress
        self.before = before
        self.after = after
        self.keepsChangeTimes = keepsChangeTimes
    }

    /// What differs at a path and below it, in the order of the paths.
    ///
    /// - Parameter path: from the file system's root.
    /// - Throws: ENOENT if it is in neither.
    mutating func run(at path: FilePath) throws -> [FileChange] {
        let start = FilePath(root: "/", path.components)
        let old = try entry(before, start)
        let new = try entry(after, start)
        switch (old, new) {
        case (nil, nil):
            throw SystemError(
                operation: "stat", path: start.string, errno: .noSuchFileOrDirectory)
        case (let old?, nil): gone.append(Found(path: start, entry: old))
        case (nil, let new?): come.append(Found(path: start, entry: new))
        case (let old?, let new?): try compare(start, old, start, new)
        }
        try settle()
        return changes.sorted { $0.path < $1.path }
    }

    private func place(_ tree: FilePath, _ path: FilePath) -> FilePath {
        // With an end of its own: of the root itself the link is to be followed.
        path.components.isEmpty
            ? tree.appending(".") : tree.pushing(FilePath(root: nil, path.components))
    }

    private func entry(_ tree: FilePath, _ path: FilePath) throws -> FileTree.Entry? {
        do {
            return try FileTree.Entry(place(tree, path))
        } catch  where error.errno == .noSuchFileOrDirectory {
            return nil
        }
    }

    /// Two files of which one became the other, and all that is in them.
    private mutating func compare(
        _ oldPath: FilePath, _ old: FileTree.Entry, _ path: FilePath, _ new: FileTree.Entry
    ) throws {
        try compare(oldPath, old, path, new) { comparison in
            try comparison.compareDirectories(
                oldPath, FileTree.Directory(comparison.place(comparison.before, oldPath)), path,
                FileTree.Directory(comparison.place(comparison.after, path)))
        }
    }

    private mutating func compare(
        _ oldPath: FilePath, _ old: FileTree.Entry, _ path: FilePath, _ new: FileTree.Entry,
        inside: (inout TreeComparison) throws -> Void
    ) throws {
        guard old.kind == new.kind else {
            gone.append(Found(path: oldPath, entry: old))
            come.append(Found(path: path, entry: new))
            return
        }
        try note(oldPath, old, path, new)
        if new.kind == .directory { try inside(&self) }
    }

    /// What became of the one file itself.
    private mutating func note(
        _ oldPath: FilePath, _ old: FileTree.Entry, _ path: FilePath, _ new: FileTree.Entry
    ) throws {
        if try differ(oldPath, old, path, new) {
            changes.append(FileChange(path, .modified, old, new))
        } else if oldPath == path, metadataDiffer(old, new) {
            changes.append(FileChange(path, .metadata, old, new))
        }
    }

    private mutating func compareDirectories(
        _ oldPath: FilePath, _ old: borrowing FileTree.Directory, _ path: FilePath,
        _ new: borrowing FileTree.Directory
    ) throws {
        var olds = try old.names()[...]
        var news = try new.names()[...]
        while let name = [olds.first, news.first].compactMap({ $0 }).min() {
            let wasThere = olds.first == name
            let isThere = news.first == name
            if wasThere { olds.removeFirst() }
            if isThere { news.removeFirst() }
            let then = wasThere ? try old.entry(name) : nil
            let now = isThere ? try new.entry(name) : nil
            report(of: now ?? then)
            switch (then, now) {
            case (nil, nil): break
            case (let then?, nil): gone.append(Found(path: name.appended(to: oldPath), entry: then))
            case (nil, let now?): come.append(Found(path: name.appended(to: path), entry: now))
            case (let then?, let now?):
                // The most of what there is.
                if keepsChangeTimes, then == now, now.kind != .directory { continue }
                let (before, after) = (name.appended(to: oldPath), name.appended(to: path))
                try compare(before, then, after, now) { comparison in
                    try comparison.compareDirectories(
                        before, FileTree.Directory(name, in: old), after,
                        FileTree.Directory(name, in: new))
                }
            }
        }
    }

    private mutating func report(of entry: FileTree.Entry?) {
        guard entry != nil else { return }
        examined += 1
        if examined.isMultiple(of: 1000) { progress(examined) }
    }

    private func differ(
        _ oldPath: FilePath, _ old: FileTree.Entry, _ path: FilePath, _ new: FileTree.Entry
    ) throws -> Bool {
        switch new.kind {
        case .file:
            if old.size != new.size { return true }
            if keepsChangeTimes, old.changed == new.changed, old.modified == new.modified,
                old.inode == new.inode
            {
                return false
            }
            return try !haveSameContents(place(before, oldPath), place(after, path), new.size)
        case .link:
            return try FileTree.link(place(before, oldPath)) != FileTree.link(place(after, path))
        case .device: return old.device != new.device
        case .directory, .fifo, .socket: return false
        }
    }

    private func haveSameContents(
        _ left: FilePath, _ right: FilePath, _ size: UInt64
    ) throws -> Bool {
        let left = try OwnedDescriptor.open(left, .readOnly)
        let right = try OwnedDescriptor.open(right, .readOnly)
        var offset: UInt64 = 0
        while offset < size {
            let count = Int(min(size - offset, 1 << 20))
            let one = try left.read(count: count, at: offset)
            guard try right.read(count: count, at: offset) == one, !one.isEmpty else {
                return false
            }
            offset += UInt64(one.count)
        }
        return true
    }

    /// A directory's times change with what is in it, which is told of by itself.
    private func metadataDiffer(_ old: FileTree.Entry, _ new: FileTree.Entry) -> Bool {
        old.permissions != new.permissions || old.owner != new.owner || old.group != new.group
            || new.kind != .directory && old.modified != new.modified
            || keepsChangeTimes && new.kind != .directory && old.changed != new.changed
    }

    /// Of what is in one tree only, finds what was renamed; the rest is gone, or new.
    private mutating func settle() throws {
        let lost = try withContents(before, gone)
        let made = try withContents(after, come)
        var byInode: [UInt64: Found] = [:]
        for found in lost { byInode[found.entry.inode] = found }
        // By the new path, the old one.
        var renamed: [FilePath: FilePath] = [:]
        var taken: Set<FilePath> = []
        for new in made {
            // The same inode is the same file, unless it was given to another one since.
            guard let old = byInode[new.entry.inode], Self.isSame(old.entry, new.entry),
                taken.insert(old.path).inserted
            else {
                changes.append(FileChange(new.path, .added, nil, new.entry))
                continue
            }
            renamed[new.path] = old.path
            // What went along with its directory wasn't renamed itself.
            let wentAlong =
                renamed[new.path.removingLastComponent()] == old.path.removingLastComponent()
                && new.path.lastComponent == old.path.lastComponent
            if !wentAlong {
                changes.append(
                    FileChange(new.path, .renamed, from: old.path, old.entry, new.entry))
            }
            try note(old.path, old.entry, new.path, new.entry)
        }
        for old in lost where !taken.contains(old.path) {
            changes.append(FileChange(old.path, .deleted, old.entry, nil))
        }
    }

    /// These files and everything in them, a directory before what is in it.
    private mutating func withContents(_ tree: FilePath, _ found: [Found]) throws -> [Found] {
        var all = found
        var next = 0
        while next < all.count {
            let one = all[next]
            next += 1
            guard one.entry.kind == .directory else { continue }
            let directory = try FileTree.Directory(place(tree, one.path))
            for name in try directory.names() {
                guard let entry = try directory.entry(name) else { continue }
                all.append(Found(path: name.appended(to: one.path), entry: entry))
                report(of: entry)
            }
        }
        return all
    }

    private static func isSame(_ old: FileTree.Entry, _ new: FileTree.Entry) -> Bool {
        guard old.kind == new.kind else { return false }
        if old.born != 0 || new.born != 0 { return old.born == new.born }
        return old.kind == .file && old.size == new.size && old.modified == new.modified
    }
}

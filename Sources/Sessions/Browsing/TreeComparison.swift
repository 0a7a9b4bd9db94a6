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
    /// Whether two names are known to lead to the same inode, of a known kind, in both.
    let isSame: (FileTree.Directory.Listed, FileTree.Directory.Listed) -> Bool

    /// Is told now and then how many files were looked at.
    let progress: (Int) -> Void

    private var examined = 0
    var changes: [FileChange] = []
    var gone: [Found] = []
    var come: [Found] = []

    /// A file that is in one tree only, as far as is known yet.
    struct Found {
        let path: FilePath
        let entry: FileTree.Entry
    }

    init(
        before: FilePath, after: FilePath, keepsChangeTimes: Bool,
        isSame: @escaping (FileTree.Directory.Listed, FileTree.Directory.Listed) -> Bool = {
            _, _ in false
        },
        progress: @escaping (Int) -> Void = { _ in }
    ) {
        self.progress = progress
        self.before = before
        self.after = after
        self.keepsChangeTimes = keepsChangeTimes
        self.isSame = isSame
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

    func place(_ tree: FilePath, _ path: FilePath) -> FilePath {
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
    mutating func note(
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
        let olds = try old.listing()
        let news = try new.listing()
        var (oldIndex, newIndex) = (0, 0)
        while oldIndex < olds.count || newIndex < news.count {
            let was = oldIndex < olds.count ? olds[oldIndex] : nil
            let isNow = newIndex < news.count ? news[newIndex] : nil
            guard let name = [was, isNow].compactMap({ $0?.name }).min() else { break }
            let wasThere = was?.name == name
            let isThere = isNow?.name == name
            if wasThere { oldIndex += 1 }
            if isThere { newIndex += 1 }
            func inside(_ comparison: inout TreeComparison) throws {
                try comparison.compareDirectories(
                    name.appended(to: oldPath), FileTree.Directory(name, in: old),
                    name.appended(to: path), FileTree.Directory(name, in: new))
            }
            if wasThere, isThere, let was, let isNow, isSame(was, isNow) {
                // Not even looked at.
                report()
                if isNow.kind == .directory { try inside(&self) }
                continue
            }
            let then = wasThere ? try old.entry(name) : nil
            let now = isThere ? try new.entry(name) : nil
            if then != nil || now != nil { report() }
            switch (then, now) {
            case (nil, nil): break
            case (let then?, nil): gone.append(Found(path: name.appended(to: oldPath), entry: then))
            case (nil, let now?): come.append(Found(path: name.appended(to: path), entry: now))
            case (let then?, let now?):
                // The most of what there is.
                if keepsChangeTimes, then == now, now.kind != .directory { continue }
                let (before, after) = (name.appended(to: oldPath), name.appended(to: path))
                try compare(before, then, after, now, inside: inside)
            }
        }
    }

    mutating func report() {
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
}

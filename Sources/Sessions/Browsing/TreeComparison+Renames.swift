import Block
import SystemPackage

/// Of what is in one of two trees, what became of it.
extension TreeComparison {
    /// Of what is in one tree only, finds what was renamed; the rest is gone, or new.
    mutating func settle() throws {
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
            for listed in try directory.listing() {
                guard let entry = try directory.entry(listed.name) else { continue }
                all.append(Found(path: listed.name.appended(to: one.path), entry: entry))
                report()
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

internal import Block
internal import ExceptionStore

/// The inodes that are the same, byte for byte, in two views of one device: those that lie in none of the
/// chunks in which the views can differ.
public struct SameInodes: Sendable {
    private let before, after: InodeTable
    /// Where the views can differ.
    private let changed: [ExceptionTable]

    init(before: InodeTable, after: InodeTable, changed: [ExceptionTable]) {
        self.before = before
        self.after = after
        self.changed = changed
    }

    /// Whether two names lead to one file, of a known kind, whose inode is the same.
    func isSame(_ old: FileTree.Directory.Listed, _ new: FileTree.Directory.Listed) -> Bool {
        guard old.inode == new.inode, let kind = old.kind, kind == new.kind,
            let place = before.place(of: old.inode), place == after.place(of: old.inode)
        else { return false }
        return !changed.contains { $0.touches(place) }
    }
}

extension View {
    /// The inodes that are the same here and in a view that was made after this one; nil where that is not
    /// known of such a file system, of one that was not unmounted or frozen properly, and of a device that
    /// was written between the two views.
    ///
    /// Neither may be mounted yet: that may recover a journal.
    public func sameInodes(as later: View) -> SameInodes? {
        guard ground.device == later.ground.device,
            later.moment == .beginning || ground == later.ground && !ground.isUnknown,
            contents.type == later.contents.type,
            let before = inodeTable(), let after = later.inodeTable()
        else { return nil }
        return SameInodes(
            before: before, after: after, changed: [past, later.past].compactMap { $0 })
    }

    private func inodeTable() -> InodeTable? {
        guard let opened = try? OwnedDescriptor.open(device, .readOnly) else { return nil }
        return try? InodeTable(of: opened, type: contents.type)
    }
}

public import Block
public import SystemPackage

/// What became of a file between two moments.
public struct FileChange: Sendable, Codable {
    /// What.
    public enum Change: String, Sendable, Codable {
        case added, deleted, modified, renamed
        /// Its owner, group, permissions or times, and nothing of its contents.
        case metadata
    }

    /// Where it is in the file system, or was.
    public let path: ByteText
    /// What became of it.
    public let change: Change
    /// What it is, or was.
    public let type: FileTree.Entry.Kind
    /// Of a renamed one, where it was.
    public let from: ByteText?
    /// In bytes; nil where there was none, or is none.
    public let sizeBefore, sizeAfter: UInt64?
    /// In seconds since 1970.
    public let mtimeBefore, mtimeAfter: Double?

    init(
        _ path: FilePath, _ change: Change, from: FilePath? = nil, _ before: FileTree.Entry?,
        _ after: FileTree.Entry?
    ) {
        self.path = ByteText(path)
        self.change = change
        self.from = from.map { ByteText($0) }
        type = (after ?? before)?.kind ?? .file
        sizeBefore = before?.size
        sizeAfter = after?.size
        mtimeBefore = before.map { Double($0.modified) / 1e9 }
        mtimeAfter = after.map { Double($0.modified) / 1e9 }
    }

    private enum CodingKeys: String, CodingKey {
        case path, change, type, from, sizeBefore, sizeAfter, mtimeBefore, mtimeAfter
    }

    /// Writes every key but `from`, also those that are null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(path, forKey: .path)
        try container.encode(change, forKey: .change)
        try container.encode(type, forKey: .type)
        try container.encodeIfPresent(from, forKey: .from)
        try container.encode(sizeBefore, forKey: .sizeBefore)
        try container.encode(sizeAfter, forKey: .sizeAfter)
        try container.encode(mtimeBefore, forKey: .mtimeBefore)
        try container.encode(mtimeAfter, forKey: .mtimeAfter)
    }
}

extension FileChange {
    /// What became of the files between two mounts of one file system, in the order of their paths.
    ///
    /// - Parameters:
    ///   - path: of one file or directory, from the file system's root.
    ///   - keepsChangeTimes: whether the file system notes when anything of a file was changed last.
    ///   - sameInodes: what needn't be looked at.
    ///   - progress: is told now and then how many files were looked at.
    /// - Throws: `system`; ENOENT if the path is in neither.
    public static func between(
        _ before: borrowing DetachedMount, _ after: borrowing DetachedMount, at path: FilePath,
        keepsChangeTimes: Bool, sameInodes: SameInodes? = nil,
        progress: @escaping (Int) -> Void = { _ in }
    ) throws(SessionsError) -> [FileChange] {
        var comparison = TreeComparison(
            before: before.root, after: after.root, keepsChangeTimes: keepsChangeTimes,
            isSame: { sameInodes?.isSame($0, $1) ?? false }, progress: progress)
        do {
            return try comparison.run(at: path)
        } catch {
            throw .from(error)
        }
    }
}

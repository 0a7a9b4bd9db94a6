import Block
import FoundationEssentials
import Glibc
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct TreeComparisonTests {
    private let directory: TemporaryDirectory
    private var before: FilePath { directory.path.appending("before") }
    private var after: FilePath { directory.path.appending("after") }

    init() throws {
        directory = try TemporaryDirectory()
        for tree in ["before", "after"] {
            try Files.makeOpenDirectory(directory.path.appending(tree))
        }
    }

    /// A file in both trees, so that it is one inode, as in two views of one file system.
    private func keep(_ name: String, as other: String? = nil, _ text: String = "same") throws {
        try write(before, name, text)
        let old = before.appending(name).string
        let new = after.appending(other ?? name).string
        #expect(unsafe link(old, new) == 0)
    }

    private func write(_ tree: FilePath, _ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: tree.appending(name).string))
    }

    private func changes(at path: String = "/") throws -> [String] {
        var comparison = TreeComparison(before: before, after: after, keepsChangeTimes: true)
        return try comparison.run(at: FilePath(path)).map { change in
            "\(change.change) \(change.from.map { "\($0) -> " } ?? "")\(change.path)"
        }
    }

    @Test("What is added, deleted, modified and renamed is told apart, in the order of the paths")
    func kinds() throws {
        try keep("kept")
        try keep("old name", as: "new name")
        try write(before, "gone", "x")
        try write(after, "come", "x")
        try write(before, "changed", "one")
        try write(after, "changed", "two")
        #expect(
            try changes() == [
                "modified /changed", "added /come", "deleted /gone",
                "renamed /old name -> /new name",
            ])
        #expect(try changes(at: "gone") == ["deleted /gone"])
        #expect(try changes(at: "/kept").isEmpty)
        #expect(throws: (any Error).self) { try changes(at: "nowhere") }
    }

    @Test(
        "What is in a directory that is gone or new is told of, and what moved out of it as renamed"
    )
    func directories() throws {
        for (tree, name) in [(before, "old"), (after, "new")] {
            try Files.makeOpenDirectory(tree.appending(name))
        }
        try keep("old/moved", as: "moved")
        try write(before, "old/gone", "x")
        try write(after, "new/come", "x")
        #expect(
            try changes() == [
                "renamed /old/moved -> /moved", "added /new", "added /new/come", "deleted /old",
                "deleted /old/gone",
            ])
    }

    @Test(
        "Another kind of file in a file's place is one gone and one new; permissions are metadata")
    func others() throws {
        try write(before, "a", "x")
        #expect(unsafe symlink("x", after.appending("a").string) == 0)
        try write(before, "b", "x")
        try write(after, "b", "x")
        #expect(unsafe chmod(after.appending("b").string, 0o600) == 0)
        #expect(unsafe chmod(before.appending("b").string, 0o640) == 0)
        #expect(try Set(changes()) == ["deleted /a", "added /a", "metadata /b"])
    }

    @Test("What is known to be the same isn't looked at, but what is in such a directory is")
    func pruned() throws {
        for tree in [before, after] { try Files.makeOpenDirectory(tree.appending("directory")) }
        try write(before, "a", "one")
        try write(after, "a", "three")
        try write(before, "directory/b", "one")
        try write(after, "directory/b", "three")
        #expect(try changes() == ["modified /a", "modified /directory/b"])
        func pruned(_ kinds: Set<FileTree.Entry.Kind>) throws -> [String] {
            var comparison = TreeComparison(
                before: before, after: after, keepsChangeTimes: true,
                isSame: { old, new in
                    old.name == new.name && old.kind == new.kind
                        && old.kind.map(kinds.contains) == true
                })
            return try comparison.run(at: "/").map { "\($0.change) \($0.path)" }
        }
        #expect(try pruned([.directory]) == ["modified /a", "modified /directory/b"])
        #expect(try pruned([.file]) == [])
    }

    @Test("A path can't lead out of the tree, by its dots or by links in it")
    func confined() throws {
        try write(before, "a", "x")
        #expect(unsafe symlink("/etc", before.appending("etc").string) == 0)
        let root = unsafe open(before.string, O_RDONLY | O_DIRECTORY)
        defer { close(root) }
        let found = try FileTree.resolve("../../a", within: root, at: "/tree")
        #expect(found == "/tree/a")
        // The link itself, and not what it leads to.
        #expect(try FileTree.resolve("etc", within: root, at: "/tree") == "/tree/etc")
        #expect(throws: SystemError.self) {
            try FileTree.resolve("etc/passwd", within: root, at: "/tree")
        }
    }
}

extension Files {
    fileprivate static func makeOpenDirectory(_ path: FilePath) throws {
        #expect(unsafe mkdir(path.string, 0o755) == 0)
    }
}

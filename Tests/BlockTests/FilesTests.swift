import Glibc
import SystemPackage
import Testing

@testable import Block

@Suite struct FilesTests {
    let directory: TemporaryDirectory
    var path: FilePath { directory.file("file") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    // MARK: read

    @Test(
        "A file is read whole at every length around the size of one read",
        arguments: [0, 1, 65_535, 65_536, 65_537, 131_072])
    func readWhole(length: Int) throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try Files.replace(path, with: bytes)
        #expect(try Files.read(path) == bytes)
    }

    @Test("A file longer than the limit fails with EFBIG, one as long as it is read")
    func readLimit() throws {
        for limit in [0, 10, 65_536, 100_000] {
            try Files.replace(path, with: [UInt8](repeating: 7, count: limit))
            #expect(try Files.read(path, limit: limit).count == limit)
            try Files.replace(path, with: [UInt8](repeating: 7, count: limit + 1))
            let error = SystemError(operation: "read", path: path.string, errno: .fileTooLarge)
            #expect(throws: error) { try Files.read(path, limit: limit) }
        }
    }

    @Test("A file that never ends fails with EFBIG")
    func readEndless() {
        #expect(throws: SystemError(operation: "read", path: "/dev/zero", errno: .fileTooLarge)) {
            try Files.read("/dev/zero")
        }
    }

    @Test("A file of proc, which says that it is empty, is read to its end")
    func readProc() throws {
        #expect(try FileStatus("/proc/self/mountinfo").size == ByteCount(0))
        #expect(try text("/proc/self/status").contains("\nPid:"))
    }

    // MARK: replace

    @Test("Replacing creates the file for its owner alone and leaves nothing beside it")
    func replaceNew() throws {
        try Files.replace(path, with: Array("new".utf8))
        #expect(try text(path) == "new")
        #expect(try FileStatus(path).permissions == 0o600)
        #expect(try Files.list(directory.path) == ["file"])
    }

    @Test("Replacing makes a new file: who has the old one open keeps the old content")
    func replaceOld() throws {
        _ = try directory.file("file", holding: "a longer old content")
        let old = try OwnedDescriptor.open(path, .readOnly)
        try Files.replace(path, with: Array("new".utf8))
        #expect(try text(path) == "new")
        let kept = try old.read(count: 100, at: 0)
        #expect(String(decoding: kept, as: UTF8.self) == "a longer old content")
    }

    @Test("The mode asked for is the mode given, whatever the umask and the old file's mode")
    func replaceMode() throws {
        _ = try directory.file("file", holding: "old")
        try setMode(path, 0o640)
        try Files.replace(path, with: [], permissions: FilePermissions(rawValue: 0o666))
        #expect(try FileStatus(path).permissions == 0o666)
        try Files.replace(path, with: [])
        #expect(try FileStatus(path).permissions == 0o600)
    }

    @Test("A file that a crash left half written doesn't stand in the way")
    func replaceAfterCrash() throws {
        _ = try directory.file("file.new", holding: "half")
        try Files.replace(path, with: Array("new".utf8))
        #expect(try text(path) == "new")
        #expect(try Files.list(directory.path) == ["file"])
    }

    @Test("A symbolic link is replaced itself: what it points to stays as it is")
    func replaceLink() throws {
        let target = try directory.file("target", holding: "target")
        try symbolicLink(path, to: "target")
        // The temporary's name is known beforehand: a link planted there is no way out either.
        try symbolicLink(directory.file("file.new"), to: "target")
        try Files.replace(path, with: Array("new".utf8))
        #expect(try FileStatus(path, follow: false).kind == .regular)
        #expect(try text(target) == "target")
    }

    @Test("When the rename fails the old one stays and the temporary file goes")
    func replaceRenameFails() throws {
        // rename(2): EISDIR when the new name is a directory and the old one is none.
        try Files.makeDirectory(path)
        let inside = try OwnedDescriptor.create(path.appending("kept"))
        try inside.write([1], at: 0)
        #expect(throws: SystemError.self) { try Files.replace(path, with: [2]) }
        #expect(try Files.list(directory.path) == ["file"])
        #expect(try Files.list(path) == ["kept"])
    }

    @Test("When writing fails the old content stays and the temporary file goes")
    func replaceWriteFails() async throws {
        _ = try directory.file("file", holding: "old")
        // RLIMIT_FSIZE is the process's: so the failure is had in another way, with a directory in
        // the place of the temporary file, which unlink(2) can't remove (EISDIR).
        try Files.makeDirectory(directory.file("file.new"))
        let error = SystemError(
            operation: "create", path: path.string + ".new", errno: .fileExists)
        #expect(throws: error) { try Files.replace(path, with: Array("new".utf8)) }
        #expect(try text(path) == "old")
    }

    // MARK: rename and remove

    @Test("Renaming takes the place of what was there")
    func rename() throws {
        let old = try directory.file("old", holding: "old")
        _ = try directory.file("file", holding: "file")
        try Files.rename(old, to: path)
        #expect(try text(path) == "old")
        #expect(try Files.list(directory.path) == ["file"])
    }

    @Test("Renaming to a new name refuses a taken one: a file, a directory, a dangling link")
    func renameNewRefuses() throws {
        let old = try directory.file("old", holding: "old")
        _ = try directory.file("file", holding: "file")
        try Files.makeDirectory(directory.file("directory"))
        try symbolicLink(directory.file("link"), to: "nowhere")
        for name in ["file", "directory", "link"] {
            let target = directory.file(name)
            let error = SystemError(operation: "rename", path: target.string, errno: .fileExists)
            #expect(throws: error) { try Files.renameNew(old, to: target) }
        }
        #expect(try text(old) == "old")
        #expect(try text(path) == "file")
    }

    @Test("Renaming an empty directory over another is refused, too")
    func renameNewDirectory() throws {
        // rename(2) without RENAME_NOREPLACE replaces an empty directory by a directory.
        let (one, two) = (directory.file("one"), directory.file("two"))
        try Files.makeDirectory(one)
        try Files.makeDirectory(two)
        #expect(throws: SystemError(operation: "rename", path: two.string, errno: .fileExists)) {
            try Files.renameNew(one, to: two)
        }
        try Files.renameNew(one, to: directory.file("three"))
        #expect(try Files.list(directory.path) == ["three", "two"])
    }

    @Test("Removing a directory takes the plain files and links in it, not what links point to")
    func removeDirectory() throws {
        let outside = try directory.file("outside", holding: "kept")
        let inner = directory.file("inner")
        try Files.makeDirectory(inner)
        try OwnedDescriptor.create(inner.appending("a")).write([1], at: 0)
        try symbolicLink(inner.appending("link"), to: "../outside")
        try Files.removeDirectory(inner)
        #expect(try Files.list(directory.path) == ["outside"])
        #expect(try text(outside) == "kept")
    }

    @Test("A directory in it stops the removal")
    func removeDirectoryWithDirectory() throws {
        let inner = directory.file("inner")
        try Files.makeDirectory(inner.appending("deep"))
        // unlink(2) on Linux: EISDIR for a directory.
        #expect(throws: SystemError.self) { try Files.removeDirectory(inner) }
        #expect(try Files.list(inner) == ["deep"])
    }

    @Test("Removing a directory that isn't there is done already, removing a file isn't")
    func removeMissing() throws {
        try Files.removeDirectory(directory.file("missing"))
        let error = SystemError(
            operation: "unlink", path: path.string, errno: .noSuchFileOrDirectory)
        #expect(throws: error) { try Files.remove(path) }
    }

    // MARK: directories

    @Test("A directory is made for root alone, those above it for everybody to pass")
    func makeDirectory() throws {
        let deep = directory.file("a").appending("b").appending("c")
        try Files.makeDirectory(deep)
        #expect(try FileStatus(deep).permissions == 0o700)
        let mask = umask(0o022)
        umask(mask)
        let above = try FileStatus(deep.removingLastComponent()).permissions
        #expect(above == 0o755 & ~mask)
        // Made already is made.
        try Files.makeDirectory(deep)
        try Files.makeDirectory(deep, permissions: 0o777)
        #expect(try FileStatus(deep).permissions == 0o700)
    }

    @Test("A file in a directory's place is refused with ENOTDIR")
    func makeDirectoryOverFile() throws {
        _ = try directory.file("file", holding: "x")
        #expect(throws: SystemError(operation: "mkdir", path: path.string, errno: .notDirectory)) {
            try Files.makeDirectory(path)
        }
        #expect(throws: SystemError.self) { try Files.makeDirectory(path.appending("below")) }
    }

    @Test("A symbolic link to a directory is one, a symbolic link to nothing is refused")
    func makeDirectoryOverLink() throws {
        try symbolicLink(directory.file("good"), to: directory.path.string)
        try Files.makeDirectory(directory.file("good"))
        // mkdir(2) says EEXIST to a dangling link, and yet there is no directory.
        try symbolicLink(directory.file("bad"), to: "nowhere")
        #expect(throws: SystemError.self) { try Files.makeDirectory(directory.file("bad")) }
    }

    @Test("A listing is sorted, has hidden and hostile names, and neither . nor ..")
    func list() throws {
        let names = [".hidden", "a b", "a\nb", "b", "ä", "日本", String(repeating: "x", count: 255)]
        for name in names.reversed() { _ = try directory.file(name, holding: "") }
        #expect(try Files.list(directory.path) == names.sorted())
    }

    @Test("Listing what is no directory fails with its errno")
    func listFails() throws {
        _ = try directory.file("file", holding: "x")
        #expect(throws: SystemError(operation: "opendir", path: path.string, errno: .notDirectory))
        {
            try Files.list(path)
        }
    }

    // MARK: paths

    @Test("Resolving follows links and takes out . and .., and fails for what isn't there")
    func resolve() throws {
        let file = try directory.file("file", holding: "x")
        try Files.makeDirectory(directory.file("sub"))
        try symbolicLink(directory.file("sub").appending("link"), to: "../file")
        let way = FilePath(directory.path.string + "/sub/./../sub/link")
        #expect(try Files.resolve(way) == file)
        let missing = directory.file("missing")
        let error = SystemError(
            operation: "realpath", path: missing.string, errno: .noSuchFileOrDirectory)
        #expect(throws: error) { try Files.resolve(missing) }
    }

    @Test("A path that goes round in links fails with ELOOP")
    func resolveLoop() throws {
        try symbolicLink(path, to: "file")
        let error = SystemError(
            operation: "realpath", path: path.string, errno: .tooManySymbolicLinkLevels)
        #expect(throws: error) { try Files.resolve(path) }
    }

    @Test("A dangling link exists, as a name")
    func exists() throws {
        #expect(!Files.exists(path))
        try symbolicLink(path, to: "nowhere")
        #expect(Files.exists(path))
    }

    @Test("A suffix goes to the last component's end")
    func suffix() {
        #expect(FilePath("/a/b.json").appendingSuffix(".new") == "/a/b.json.new")
    }

    @Test("Free space is no more than the file system's size")
    func freeSpace() throws {
        let space = try Files.freeSpace(directory.path)
        #expect(space.size > ByteCount(0))
        #expect(space.free <= space.size)
        #expect(throws: SystemError.self) { try Files.freeSpace(path) }
    }
}

import Glibc
import Subprocess
import SystemPackage
import Testing

@testable import Block

@Suite struct MountTableTests {
    @Test("This process's mounts have the root, and proc with the number of its files")
    func ownMounts() throws {
        let mounts = try MountTable.read()
        #expect(mounts.contains { $0.target == "/" })
        let proc = try #require(mounts.last { $0.target == "/proc" })
        #expect(proc.type == "proc")
        // proc_pid_mountinfo(5): major:minor is st_dev of files on this file system.
        #expect(proc.number == DeviceNumber(try FileStatus("/proc/self").fileSystem))
        #expect(proc.options.split(separator: ",").contains("rw"))
    }

    @Test("Every line of the file is a mount, in the file's order")
    func complete() throws {
        let lines = try text("/proc/self/mountinfo").split(separator: "\n")
        // The third word is major:minor.
        let numbers = lines.map { DeviceNumber(String($0.split(separator: " ")[2])) }
        #expect(try MountTable.read().map(\.number) == numbers)
    }

    /// What the kernel writes in a mount's line: show_mountinfo and mangle in fs/proc_namespace.c
    /// escape space, tab, newline and backslash in octal, and `#` in the source, too.
    static let lines: [(String, Mount)] = [
        (
            "29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro",
            Mount(
                number: DeviceNumber(major: 8, minor: 1), source: "/dev/sda1", target: "/",
                type: "ext4", options: "rw,relatime,errors=remount-ro")
        ),
        (
            #"30 29 253:300 / /a\040b\011c\012d\134e rw - xfs /dev/mapper/dmsnap-a\134x20b rw"#,
            Mount(
                number: DeviceNumber(major: 253, minor: 300), source: #"/dev/mapper/dmsnap-a\x20b"#,
                target: "/a b\tc\nd\\e", type: "xfs", options: "rw")
        ),
        (
            #"31 29 0:40 /sub /mnt/ä rw,noatime shared:2 master:3 - btrfs /dev/a\043b rw,subvol=/sub"#,
            Mount(
                number: DeviceNumber(major: 0, minor: 40), source: "/dev/a#b", target: "/mnt/ä",
                type: "btrfs", options: "rw,noatime,subvol=/sub")
        ),
        (
            // Backslash-x is no escape here: the kernel would have written \134x20.
            "32 29 0:41 / /mnt/UUID=x rw - tmpfs LABEL=not\\040a\\040device rw",
            Mount(
                number: DeviceNumber(major: 0, minor: 41), source: "LABEL=not a device",
                target: "/mnt/UUID=x", type: "tmpfs", options: "rw")
        ),
        (
            // mount -t tmpfs "" /mnt: an empty source leaves two spaces.
            "33 29 0:42 / /mnt/empty rw - tmpfs  rw,size=1k",
            Mount(
                number: DeviceNumber(major: 0, minor: 42), source: "", target: "/mnt/empty",
                type: "tmpfs", options: "rw,size=1k")
        ),
    ]

    @Test("A line is read as the kernel escapes it", arguments: lines)
    func escapes(line: String, mount: Mount) throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("mountinfo", holding: line + "\n")
        #expect(try MountTable.read(file) == [mount])
    }

    @Test("Mounts over one another are all there, the first mounted first")
    func order() throws {
        let directory = try TemporaryDirectory()
        let all = Self.lines.map { $0.0 + "\n" }.joined()
        let file = try directory.file("mountinfo", holding: all)
        #expect(try MountTable.read(file) == Self.lines.map(\.1))
    }

    @Test(
        "What fstab has around a path is missing unless it is mounted; the innermost counts",
        arguments: [
            ("/snapshot/.armed", "/snapshot"), ("/snapshot", "/snapshot"), ("/snapshots", nil),
            ("/srv/a b/deep/er", "/srv/a b"), ("/srv/a b/in/x", "/srv/a b/in"), ("/mnt/ä/x", nil),
            ("/none", nil), ("/", nil),
        ] as [(FilePath, FilePath?)])
    func missingMount(path: FilePath, place: FilePath?) throws {
        let directory = try TemporaryDirectory()
        let fstab = try directory.file(
            "fstab",
            holding: """
                # what is mounted at boot
                /dev/sda1 / ext4 defaults 0 1
                LABEL=SESSIONS  /snapshot\text4\tnofail,x-systemd.device-timeout=1 0 2

                UUID=1 none swap sw 0 0
                /dev/sdb1 /srv/a\\040b/ xfs noauto 0 0
                /dev/sdb2 /srv/a\\040b/in xfs defaults
                tmpfs /mnt/ä tmpfs

                """)
        let mounts = try MountTable.read(
            directory.file("mountinfo", holding: Self.lines.map { $0.0 + "\n" }.joined()))
        #expect(
            try MountTable.missing(of: MountTable.read(fstab), in: mounts, around: path) == place)
        // A chroot's own / is no mount.
        let root = MountTable.missing(of: [mounts[0]], in: [], around: path)
        #expect(root == nil)
    }

    @Test("A table that can't be read fails with its errno")
    func missing() throws {
        let path = try TemporaryDirectory().file("missing")
        let error = SystemError(
            operation: "mnt_new_table_from_file", path: path.string, errno: .noSuchFileOrDirectory)
        #expect(throws: error) { try MountTable.read(path) }
    }

    /// Whether this process may make a mount namespace of its own and mount in it.
    static func mayMount() async -> Bool {
        let result = try? await Subprocess.run(
            .name("unshare"), arguments: ["-m", "mount", "-t", "tmpfs", "none", "/tmp"],
            environment: .withTools, output: .discarded, error: .discarded)
        return result?.terminationStatus.isSuccess == true
    }

    @Test(
        "A real mount on a directory with a space, a newline and a backslash is read back exactly",
        .enabled("needs the right to mount in a namespace of one's own") {
            await MountTableTests.mayMount()
        },
        arguments: [
            "a b", "a\nb", "a\tb", #"a\040b"#, #"a\x20b"#, "a#b", "a%sb", "日本", "a (deleted)",
        ])
    func realMount(name: String) async throws {
        let directory = try TemporaryDirectory()
        let target = directory.file(name)
        try Files.makeDirectory(target)
        // The mount lives as long as the namespace, and that as long as the shell.
        let script = #"mount -t tmpfs "$2" "$1" && echo mounted && read -r line"#
        let result = try await Subprocess.run(
            .name("unshare"),
            arguments: [
                "-m", "--propagation", "private", "sh", "-c", script, "sh", target.string, name,
            ],
            environment: .withTools, input: .inputWriter, output: .sequence, error: .discarded
        ) { shell in
            var lines = shell.standardOutput.strings().makeAsyncIterator()
            let word = try await lines.next()
            // unshare(1) becomes the shell, so the shell's table is the child's.
            let table = FilePath("/proc/\(shell.processIdentifier.value)/mountinfo")
            let mounts = try MountTable.read(table)
            try await shell.standardInputWriter.finish()
            return (word: word, mounts: mounts)
        }
        #expect(result.closureResult.word == "mounted")
        let mount = try #require(result.closureResult.mounts.last)
        #expect(mount.target == target.string)
        #expect(mount.source == name)
        #expect(mount.type == "tmpfs")
    }

    @Test("A file's device is that of its file system, and a file system on no device has none")
    func holding() throws {
        #expect(MountTable.device(holding: "/proc/self/status") == nil)
        let directory = try TemporaryDirectory()
        #expect(MountTable.device(holding: directory.file("missing")) == nil)
    }

    @Test("Nothing is mounted from a device that isn't there")
    func mountsOfNothing() throws {
        #expect(try MountTable.mounts(of: DeviceNumber(major: 4095, minor: 4095)).isEmpty)
    }
}

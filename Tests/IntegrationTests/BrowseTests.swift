import Block
import FoundationEssentials
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Browse {
        struct FileSystem: Sendable, CustomTestStringConvertible {
            let name: String
            let make: String
            let kind: DeviceKind
            var megabytes = 64
            /// A view's btrfs has another UUID, XFS writes to its log when it is mounted read-only, and
            /// vfat knows no inodes.
            var isSameByteForByte = true
            var knowsRenames = true
            var testDescription: String { name }
        }

        static let fileSystems = [
            FileSystem(name: "ext4", make: "mkfs.ext4 -q -F", kind: .block),
            FileSystem(
                name: "XFS", make: "mkfs.xfs --unsupported -q -f", kind: .image, megabytes: 96,
                isSameByteForByte: false),
            FileSystem(
                name: "btrfs", make: "mkfs.btrfs -q -f", kind: .block, megabytes: 128,
                isSameByteForByte: false),
            FileSystem(
                name: "vfat", make: "mkfs.vfat", kind: .image, knowsRenames: false),
        ]

        private struct Change: Decodable {
            let path: String
            let change: String
            let from: String?
        }

        private func diff(_ arguments: [String]) async throws -> [String] {
            let text = try await Dmsnap.must(["diff", "--json"] + arguments)
            return try JSONDecoder().decode([Change].self, from: Data(text.utf8)).map {
                "\($0.change) \($0.from.map { "\($0) -> " } ?? "")\($0.path)"
            }
        }

        private func views() -> [String] {
            Machine.mapperDevices.filter { $0.hasPrefix("dmsnapview-") }
        }

        @Test(
            "A session is looked into while its device is mounted, written to and unmounted",
            arguments: fileSystems)
        func lookedInto(fileSystem: FileSystem) async throws {
            try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
                try await sh("\(fileSystem.make) \(rig.device) > /dev/null")
                try await rig.activate()
                let first = try await rig.mounted(
                    "mkdir dir; echo one > dir/a; echo gone > gone; echo moved > moved; head -c 2M /dev/urandom > big"
                )
                let before = fileSystem.isSameByteForByte ? try await rig.checksum() : ""
                try await sh(
                    "mkdir \(rig.directory)/kept \(rig.directory)/view \(rig.directory)/out")
                try await rig.mount()
                try await sh("cp -a \(rig.mountPoint)/. \(rig.directory)/kept")
                try await sh(
                    """
                    cd \(rig.mountPoint); echo two > dir/a; rm gone; mv moved dir/moved; echo new > new
                    head -c 2M /dev/urandom > big; sync
                    """)
                let session = try #require(try await rig.sessions().last)
                #expect(session.state == "open")
                let view = "\(rig.directory)/view"
                try await Dmsnap.must(["browse", session.name, view])
                let device = try await sh("findmnt -n -o SOURCE \(view)")
                func expectSame(_ when: String) async throws {
                    try await sh("diff -r --exclude=lost+found \(rig.directory)/kept \(view)")
                    guard fileSystem.isSameByteForByte else { return }
                    let now = try await sh(
                        "blockdev --flushbufs \(device); xxh128sum < \(device)")
                    #expect(now.hasPrefix(before), "\(when)")
                }
                try await expectSame("while it is mounted")
                // What is written after the view was made, over what had changed and what had not.
                try await sh(
                    "cd \(rig.mountPoint); head -c 3M /dev/urandom > big; head -c 9M /dev/zero > more; sync"
                )
                try await expectSame("after more writes")
                #expect(try await sh("touch \(view)/x 2>&1 || true").contains("Read-only"))
                let options = try await sh("findmnt -n -o OPTIONS \(view)").split(separator: ",")
                #expect(Set(["ro", "nosuid", "nodev"]).isSubset(of: options.map(String.init)))
                try await rig.unmount()
                try await expectSame("after the session has closed")
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: [view, "browse --stop"])
                try await Dmsnap.must(["browse", "--stop", view])
                #expect(views().isEmpty)

                try await Dmsnap.must(
                    ["copy", session.name, "dir/a", "/gone", "\(rig.directory)/out"])
                #expect(
                    try await sh("cat \(rig.directory)/out/a \(rig.directory)/out/gone")
                        == "one\ngone")
                let renamed =
                    fileSystem.knowsRenames
                    ? ["renamed /moved -> /dir/moved"] : ["added /dir/moved", "deleted /moved"]
                let expected =
                    [
                        "modified /dir/a", "deleted /gone", "added /new", "modified /big",
                        "added /more",
                    ]
                    + renamed
                let told = try await diff([session.name])
                #expect(Set(told) == Set(expected))
                #expect(views().isEmpty)
                // Below the mount it is the same for all.
                guard fileSystem.name == "ext4" else { return }
                #expect(
                    try await diff([session.name, "dir"]).count == 2
                )
                #expect(
                    try await diff([first.name, "--to", session.name, "gone"]) == ["added /gone"])
                let text = try await Dmsnap.must(["diff", session.name, "dir/a", "--contents"])
                #expect(text.contains("-one\n+two"))
                #expect(views().isEmpty)
            }
        }

        @Test("What was written past the file system differs, though no file's times say so")
        func writtenPast() async throws {
            try await Rig.with(.image) { rig in
                try await sh(
                    """
                    mkfs.ext4 -q -F \(rig.device); mount \(rig.device) \(rig.mountPoint)
                    seq 1 9000 > \(rig.mountPoint)/raw; seq 1 9000 > \(rig.mountPoint)/other
                    umount \(rig.mountPoint)
                    """)
                try await rig.activate()
                let known = Set(rig.directories())
                try await sh(
                    """
                    block=$(debugfs -R 'bmap raw 1' \(rig.device) 2> /dev/null)
                    size=$(debugfs -R stats \(rig.device) 2> /dev/null | sed -n 's/^Block size: *//p')
                    printf QQQQ | dd of=\(rig.path()) bs=1 seek=$((block * size + 10)) conv=notrunc,fsync \
                        2> /dev/null
                    """)
                try await eventually("it is a session") { rig.directories().count > known.count }
                let session = try #require(rig.directories().first { !known.contains($0) })
                #expect(try await diff([session]) == ["modified /raw"])
                try await rig.deactivate()
            }
        }

        @Test("Nothing is left of a view whose maker is killed, or that is just unmounted")
        func killed() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device); mkdir \(rig.directory)/view")
                try await rig.activate()
                let session = try await rig.mounted("head -c 5M /dev/urandom > a")
                let view = "\(rig.directory)/view"
                // An interrupt ends it between two changes.
                for delay in ["0.2", "0.5", "0.8"] {
                    try await sh(
                        "timeout -s INT \(delay) dmsnap copy \(session.name) a \(rig.directory)/a || :"
                    )
                    #expect(Machine.cookies.isEmpty)
                }
                for delay in ["0.15", "0.3", "0.45", "0.6", "0.8", "1.1"] {
                    try await sh(
                        """
                        timeout -s KILL \(delay) dmsnap browse \(session.name) \(view) > /dev/null 2>&1 || :
                        umount \(view) 2> /dev/null || :
                        """)
                    #expect(try await rig.status().state == "armed")
                    try await sh(
                        "test $(dmsetup info -c --noheadings -o suspended \(rig.path())) = Active")
                }
                // A program that is killed leaves its cookie.
                try await sh("dmsetup udevcomplete_all --yes > /dev/null")
                // Whoever comes next takes away what could not be handed over.
                try await Dmsnap.must(["browse", session.name, view])
                #expect(try await sh("ls -A \(rig.base)/.views").isEmpty)
                try await sh("umount \(view)")
                try await eventually("the kernel takes it away") { views().isEmpty }
                try await rig.restore(session)
            }
        }

        @Test("A device is not deactivated under a view that is still being made")
        func halfMade() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device); mkdir \(rig.directory)/view")
                try await rig.activate()
                let session = try await rig.mounted("head -c 40M /dev/urandom > a")
                try await rig.archived(session)
                try await sh(
                    """
                    dmsnap browse \(session.name) \(rig.directory)/view > /dev/null 2>&1 &
                    for i in $(seq 500); do
                        grep -qse '^dmsnapview-.*-then' /sys/block/dm-*/dm/name && break; sleep 0.02
                    done
                    pkill -STOP -f '^[^ ]*dmsnap browse'
                    """)
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: ["look"])
                #expect(try await rig.status().state == "armed")
                try await sh("pkill -CONT -f '^[^ ]*dmsnap browse'")
                try await eventually("it is there") {
                    Machine.isMounted(below: "\(rig.directory)/view")
                }
                try await Dmsnap.must(["browse", "--stop", "\(rig.directory)/view"])
            }
        }

        @Test(
            "One file out of a large session takes little to read, also where it is compressed and damaged"
        )
        func packed() async throws {
            try await Rig.with(.image, size: 128 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device); mkdir \(rig.directory)/view")
                try await sh(
                    """
                    mount -o loop \(rig.device) \(rig.mountPoint); cd \(rig.mountPoint)
                    head -c 80M /dev/urandom > large; echo was > small; cp large \(rig.directory)
                    cd /; umount \(rig.mountPoint)
                    """)
                try await eventually("the loop device is gone") {
                    !Machine.loopDevices.contains { $0.hasSuffix(rig.file) }
                }
                try await rig.activate()
                let view = "\(rig.directory)/view"
                let out = "\(rig.directory)/out"
                func copy(_ session: String) async throws {
                    let mebibytes = try await sh(
                        """
                        rm -f \(out); sync; echo 3 > /proc/sys/vm/drop_caches
                        disk=/sys/class/block/$(basename $(findmnt -nvo SOURCE -T \(rig.base)))/stat
                        set -- $(cat $disk); was=$3
                        dmsnap copy \(session) small \(out) > /dev/null
                        set -- $(cat $disk); echo $((($3 - was) / 2048))
                        """)
                    #expect(try await sh("cat \(out)") == "was")
                    #expect(try #require(Int(mebibytes)) <= 10, "MiB read of 80")
                }
                try await rig.mount()
                try await sh(
                    "cd \(rig.mountPoint); shred -n 1 large; echo is > small; sync -f \(rig.mountPoint)"
                )
                let name = try #require(try await rig.status().session)
                try await copy(name)
                try await rig.unmount()
                let session = try #require(try await rig.sessions().last)
                #expect(session.name == name)
                try await rig.archived(session)
                try await copy(name)

                // A bit of it: all else is shown.
                let archive = "\(session.directory)/chunks.dmsz"
                let damage = try OwnedDescriptor.open(FilePath(archive), .readWrite)
                let byte = try damage.read(count: 1, at: 50_000_000)[0]
                try damage.write([byte ^ 4], at: 50_000_000)
                try await copy(name)
                try await sh("rm \(out)")
                try await Dmsnap.refuses(
                    ["copy", name, "large", out], status: 65, saying: [archive, "chunks"])
                try await Dmsnap.must(["browse", name, view])
                #expect(try await sh("cat \(view)/small") == "was")
                #expect(try await sh("cat \(view)/large > /dev/null 2>&1 || echo error") == "error")
                try damage.write([byte], at: 50_000_000)
                try await sh("cmp \(view)/large \(rig.directory)/large; umount \(view)")
                try await eventually("its process ends") {
                    try await sh("pgrep -f '^[^ ]*dmsnap browse' || :").isEmpty
                }
                // With its process gone nothing is read that was compressed, and nothing waits.
                try await Dmsnap.must(["browse", name, view])
                try await sh(
                    """
                    pkill -9 -f '^[^ ]*dmsnap browse'; echo 3 > /proc/sys/vm/drop_caches
                    ! cmp \(view)/large \(rig.directory)/large 2> /dev/null; umount \(view)
                    """)
                try await eventually("the kernel takes it away") {
                    views().isEmpty && !Machine.loopDevices.contains("/")
                }
                try await rig.restore(session)
                // It goes while it is looked into.
                try await Dmsnap.must(["browse", name, view])
                try await Dmsnap.must(["delete", name])
                try await sh("cmp \(view)/large \(rig.directory)/large; umount \(view)")
            }
        }

        @Test("Without activation, and with a moved archive of another image")
        func bare() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.mounted("echo none > a")
                try await rig.mounted("echo one > a")
                let session = try await rig.mounted("echo two > a")
                try await rig.archived(session)
                try await rig.deactivate()
                let out = "\(rig.directory)/out"
                // Two views at once, and a third while one is mounted.
                #expect(try await diff([first.name]) == ["added /a"])
                try await sh("mkdir \(rig.directory)/view")
                try await Dmsnap.must(["browse", first.name, "\(rig.directory)/view"])
                try await Dmsnap.must(["copy", session.name, "a", out])
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name, "--yes"], status: 75,
                    saying: ["attached to"])
                try await Dmsnap.must(["browse", "--stop", "\(rig.directory)/view"])
                #expect(try await sh("cat \(out)") == "one")
                try await sh(
                    "cp --sparse=always \(rig.file) \(rig.directory)/twin; cp \(session.directory)/chunks.dmsz \(rig.directory)"
                )
                let moved = "\(rig.directory)/chunks.dmsz"
                try await Dmsnap.refuses(
                    ["copy", moved, "a", out], status: 64, saying: ["--device"])
                try await sh("rm \(out)")
                try await Dmsnap.must(
                    ["copy", moved, "a", out, "--device", "\(rig.directory)/twin"])
                #expect(try await sh("cat \(out)") == "one")
                try await Dmsnap.refuses(
                    ["copy", session.name, "nothing", out], status: 66, saying: ["nothing"])
                try await Dmsnap.refuses(
                    ["browse", session.name, rig.file], status: 64, saying: ["no directory"])
                try await Dmsnap.refuses(
                    ["browse", "--stop", rig.directory], status: 64, saying: ["no session"])
                // Written since: what leads back doesn't lead there any more.
                try await sh(
                    "mount -o loop \(rig.file) \(rig.mountPoint); echo three > \(rig.mountPoint)/a; umount \(rig.mountPoint)"
                )
                try await eventually("the loop device is gone") {
                    !Machine.loopDevices.contains { $0.hasSuffix(rig.file) }
                }
                try await Dmsnap.refuses(
                    ["copy", session.name, "a", out], status: 65, saying: ["written to it since"])
                let ranges = try await Dmsnap.must(["changes", moved, "--json"])
                #expect(ranges.contains("\"sizeBytes\" : \(64 << 20)"))
            }
        }
    }
}

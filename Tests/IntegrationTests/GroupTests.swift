import Testing

extension IntegrationTests {
    /// Devices that belong together.
    @Suite struct Groups {
        /// Makes image files beside a rig's device, activates them all, and groups them.
        ///
        /// - Returns: what is activated, and what to mount of each, the rig's own first.
        private func group(
            _ rig: Rig, others: Int
        ) async throws -> (devices: [String], paths: [String]) {
            let images = (1...others).map { "\(rig.directory)/other\($0)" }
            try await rig.activate()
            for image in images {
                try await Dmsnap.must([
                    "activate", image, "--passfile", Dmsnap.passfile, "--store-dir", rig.base,
                ])
            }
            let devices = [rig.device] + images
            try await Dmsnap.must(["group", "pair"] + devices)
            let all = try await Dmsnap.status()
            let paths = devices.compactMap { device in all.first { $0.device == device }?.path }
            return (devices, paths)
        }

        private func makeOthers(_ rig: Rig, _ count: Int, megabytes: Int) async throws {
            try await sh(
                """
                cd \(rig.directory); for n in $(seq \(count)); do truncate -s \(megabytes)M other$n; done
                """)
        }

        private func contents(_ devices: [String]) async throws -> [String] {
            var sums: [String] = []
            for device in devices {
                sums.append(
                    try await sh(
                        """
                        [ ! -b \(device) ] || blockdev --flushbufs \(device)
                        xxh128sum < \(device) | cut -c1-32
                        """))
            }
            return sums
        }

        private func closed(_ rig: Rig) async throws {
            try await eventually("the sessions are closed") { rig.openSessions().isEmpty }
        }

        @Test(
            "A writer that stamps four devices in turn: every checkpoint of them is of one instant")
        func stamped() async throws {
            try await Rig.with(.block, size: 8 << 20) { rig in
                try await makeOthers(rig, 3, megabytes: 8)
                let (_, paths) = try await group(rig, others: 3)
                // Past the cache, and on the disk when it returns; each device has it before the next gets it.
                let writer = """
                    import mmap, os, struct, sys
                    page = mmap.mmap(-1, 4096)
                    files = [os.open(p, os.O_WRONLY | os.O_DIRECT | os.O_SYNC) for p in sys.argv[2:]]
                    stamp = 0
                    while not os.path.exists(sys.argv[1]):
                        stamp += 1
                        page[:8] = struct.pack("<Q", stamp)
                        for f in files: os.pwritev(f, [page], 4096 * (stamp % 1024))
                        page[8:16] = struct.pack("<Q", stamp)
                        for f in files: os.pwritev(f, [page], 0)
                    """
                try await sh(
                    """
                    cd \(rig.directory); cat > writer.py <<'END'
                    \(writer)
                    END
                    python3 writer.py \(rig.directory)/stop \(paths.joined(separator: " ")) > writer.log 2>&1 &
                    echo $! > writer.pid; sleep 0.5
                    """)
                let labels = ["first", "second"]
                for label in labels {
                    let said = try await Dmsnap.must(["checkpoint", "pair", "--label", label])
                    #expect(said.contains("All of pair at one instant"))
                    #expect(said.ranges(of: "begins here.").count == 4)
                    try await sh("sleep 0.5")
                }
                try await sh(
                    """
                    cd \(rig.directory); touch stop; while [ -e /proc/$(cat writer.pid) ]; do sleep 0.1; done
                    test ! -s writer.log
                    """)
                try await closed(rig)
                var last: UInt64 = .max
                for label in labels.reversed() {
                    let said = try await Dmsnap.must(["restore", "--group", "--session", label])
                    #expect(said.ranges(of: "It is what it was").count == 4)
                    let text = try await sh(
                        """
                        for d in \(paths.joined(separator: " ")); do
                            od -An -v -tu8 -j8 -N8 $d | tr -d ' '; done
                        """)
                    let stamps = text.split(separator: "\n").compactMap { UInt64($0) }
                    #expect(stamps.count == 4)
                    // One that comes earlier in the writer's order is ahead by one at most.
                    #expect(stamps == stamps.sorted(by: >), "\(stamps)")
                    #expect(stamps[0] - stamps[3] <= 1 && stamps[3] > 0, "\(stamps)")
                    #expect(stamps[0] < last)
                    last = stamps[3]
                }
            }
        }

        struct Two: Sendable, CustomTestStringConvertible {
            let testDescription: String
            /// Makes a file system on `$a` and `$b`.
            let make: String
            /// Mounts it on `$mnt` from `$a` and `$b`, which are activated then.
            let mount: String
            /// Finds fault with it.
            let check: String
        }

        static let kinds = [
            Two(
                testDescription: "ext4 with its journal on the other",
                make:
                    "mke2fs -q -F -O journal_dev -b 4096 $b; mkfs.ext4 -q -F -b 4096 -J device=$b $a",
                mount: "mount -o journal_path=$b $a $mnt", check: "e2fsck -fn -j $b $a"),
            Two(
                testDescription: "XFS with its log on the other",
                make: "mkfs.xfs --unsupported -q -f -l logdev=$b,size=32m $a",
                mount: "mount -o logdev=$b $a $mnt",
                check: "mount -o logdev=$b $a $mnt; umount $mnt; xfs_repair -n -l $b $a"),
            Two(
                testDescription: "btrfs on both", make: "mkfs.btrfs -q -f -d raid1 -m raid1 $a $b",
                mount: "mount -o device=$a,device=$b $a $mnt", check: "btrfs check $a"),
        ]

        @Test(
            "A file system on two devices goes back to a checkpoint of both, and to before its mount",
            arguments: kinds)
        func oneFileSystem(kind: Two) async throws {
            try await Rig.with(.block, size: 128 << 20) { rig in
                try await makeOthers(rig, 1, megabytes: 128)
                let mnt = rig.mountPoint
                try await sh(
                    """
                    a=\(rig.device); b=$(losetup -f --show \(rig.directory)/other1)
                    { \(kind.make); } > /dev/null
                    losetup -d $b; udevadm settle 2>/dev/null || :
                    """)
                let (devices, paths) = try await group(rig, others: 1)
                let before = try await contents(paths)
                let names = "a=\(paths[0]); b=\(paths[1]); mnt=\(mnt)"
                try await sh(
                    """
                    \(names); \(kind.mount); cd $mnt; echo begun > kept; sync
                    (while [ ! -e stop ]; do dd if=/dev/urandom of=file bs=16k count=50 conv=notrunc oflag=dsync
                        n=$((n + 1)); echo $n > new; mv new name; done) > /dev/null 2>&1 &
                    sleep 0.5
                    """)
                try await Dmsnap.must(["checkpoint", "pair", "--label", "both"])
                try await sh(
                    """
                    echo after >> \(mnt)/kept; sleep 0.3; touch \(mnt)/stop; sleep 0.3
                    while fuser -s \(mnt)/. ; do sleep 0.1; done; umount \(mnt)
                    """)
                try await closed(rig)
                let said = try await Dmsnap.must(["restore", "--group", "--session", "both"])
                #expect(said.ranges(of: "It is what it was").count == 2)
                try await sh(
                    """
                    \(names); { \(kind.check); } > /dev/null 2>&1
                    \(kind.mount); grep -x begun $mnt/kept; ! grep after $mnt/kept; umount $mnt
                    """)
                try await closed(rig)
                let sessions = try await Dmsnap.sessions(of: devices[0])
                let first = try #require(sessions.first)
                try await Dmsnap.must(["restore", "--group", "--session", first.name])
                #expect(try await contents(paths) == before)
            }
        }

        @Test("Killed at any moment, a checkpoint and a restore of a group lose nothing")
        func killed() async throws {
            try await Rig.with(.block, size: 16 << 20) { rig in
                try await makeOthers(rig, 1, megabytes: 16)
                try await sh("mkfs.ext4 -q -F \(rig.device); mkfs.vfat \(rig.directory)/other1")
                let (_, paths) = try await group(rig, others: 1)
                let before = try await contents(paths)
                try await sh(
                    """
                    cd \(rig.directory); mkdir -p mnt/ ; mount \(paths[0]) mnt
                    mkdir mnt/b; mount \(paths[1]) mnt/b
                    """)
                let suspended = """
                    test -z "$(dmsetup info -c --noheadings -o name -S suspended=Suspended)" || { sleep 1
                        test -z "$(dmsetup info -c --noheadings -o name -S suspended=Suspended)"; }
                    """
                for delay in ["0.1", "0.16", "0.22", "0.28", "0.34", "0.4"] {
                    try await sh(
                        """
                        cd \(rig.directory)/mnt; head -c 300k /dev/urandom | tee a > b/a; sync
                        timeout -s KILL \(delay) dmsnap checkpoint pair > /dev/null 2>&1 || :
                        \(suspended)
                        """)
                }
                try await sh("dmsetup udevcomplete_all --yes > /dev/null")
                try await Dmsnap.must(["checkpoint", "pair", "--label", "last"])
                let middle = try await contents(paths)
                try await sh(
                    """
                    cd \(rig.directory)/mnt; head -c 3M /dev/urandom | tee a > b/a; cd ..
                    umount mnt/b; umount mnt
                    """)
                try await closed(rig)
                for delay in ["0.2", "0.35", "0.5", "0.65", "0.8"] {
                    try await sh(
                        """
                        timeout -s KILL \(delay) dmsnap restore --group --session last > /dev/null 2>&1 || :
                        dmsetup udevcomplete_all --yes > /dev/null
                        \(suspended)
                        """)
                }
                try await Dmsnap.must(["restore", "--group", "--session", "last"])
                // A mounted ext4 writes after what it was frozen as is read; vfat is as it was.
                #expect(try await contents(paths)[1] == middle[1])
                let sessions = try await rig.sessions()
                let first = try #require(sessions.first)
                try await Dmsnap.must(["restore", "--group", "--session", first.name])
                #expect(try await contents(paths) == before)
            }
        }

        @Test("What is said of a group: made, shown, in status, refused, forgotten")
        func said() async throws {
            try await Rig.with(.block, size: 8 << 20) { rig in
                try await makeOthers(rig, 1, megabytes: 8)
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await Dmsnap.refuses(
                    ["group", "pair", rig.device], status: 66, saying: ["not activated"])
                let (devices, paths) = try await group(rig, others: 1)
                let shown = try await Dmsnap.must(["group", "pair"])
                #expect(shown.contains(paths.joined(separator: ", ")))
                #expect(shown.contains("They go back to one instant"))
                #expect(try await Dmsnap.must(["status"]).contains("group pair: \(paths[0])"))
                try await sh("dmsnap status --json | grep -qx '.*\"group\" : \"pair\".*'")
                try await Dmsnap.refuses(
                    ["group", "other", devices[0]], status: 64, saying: ["in the group pair"])
                try await Dmsnap.refuses(
                    ["group", "../x", devices[0]], status: 64, saying: ["a group's name"])
                try await Dmsnap.refuses(
                    ["set", devices[0], "--restore-at", "boot"], status: 64,
                    saying: ["in the group pair"])
                try await Dmsnap.refuses(
                    ["restore", "pair", "--online"], status: 64, saying: ["offline"])
                try await Dmsnap.refuses(
                    ["restore", "pair"], status: 64, saying: ["no session begins at an instant"])
                #expect(
                    try await Dmsnap.must(["checkpoint", "pair"]).contains("is not in use"))
                try await sh("dmsnap checkpoint pair --label x > /dev/null 2>&1 || test $? = 75")
                let before = try await contents(paths)
                let session = try await rig.mounted("echo a > a")
                #expect(
                    try await Dmsnap.must(["show", session.name]).contains(
                        "pair: begins at an instant"))
                let again = try await Dmsnap.must(["restore", "pair"])
                #expect(again.contains("nothing was written to it since"))
                #expect(again.contains("To undo it: dmsnap restore --group --session"))
                #expect(try await contents(paths) == before)
                try await rig.mount()
                try await Dmsnap.refuses(["restore", "pair"], status: 75, saying: ["unmount"])
                try await rig.unmount()
                #expect(
                    try await Dmsnap.must([
                        "deactivate", devices[0], "--passfile", Dmsnap.passfile,
                    ]).contains("in the group pair no more"))
                try await rig.activate()
                #expect(
                    try await Dmsnap.must(["group", "pair", "--dissolve"]).contains("no more"))
                try await Dmsnap.refuses(
                    ["group", "pair"], status: 66, saying: ["no such group"])
                #expect(try await !Dmsnap.must(["status"]).contains("group pair"))
            }
        }
    }
}

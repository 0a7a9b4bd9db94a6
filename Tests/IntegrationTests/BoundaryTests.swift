import Block
import Testing

extension IntegrationTests {
    @Suite struct Boundaries {
        struct FileSystem: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let make: String
            /// Finds fault with `$image`, which was frozen: XFS leaves a record in its log, vfat its mark.
            let check: String
            let kind: DeviceKind
            var megabytes = 64

            /// Makes one on a device that isn't activated, and runs a script in it.
            func make(on rig: Rig, _ script: String) async throws {
                try await sh(
                    """
                    \(make) \(rig.device) > /dev/null; mount \(rig.device) \(rig.mountPoint)
                    cd \(rig.mountPoint); \(script); cd /; umount \(rig.mountPoint)
                    """)
            }
        }

        static let fileSystems = [
            FileSystem(
                testDescription: "ext4", make: "mkfs.ext4 -q -F", check: "e2fsck -fn $image",
                kind: .image),
            FileSystem(
                testDescription: "XFS", make: "mkfs.xfs --unsupported -q -f",
                check: "mount -o loop,nouuid $image $view; umount $view; xfs_repair -n $image",
                kind: .block, megabytes: 96),
            FileSystem(
                testDescription: "btrfs", make: "mkfs.btrfs -q -f", check: "btrfs check $image",
                kind: .image, megabytes: 128),
            FileSystem(
                testDescription: "vfat", make: "mkfs.vfat",
                check: "fsck.vfat -a $image || :; fsck.vfat -n $image", kind: .block),
        ]

        @Test(
            "While it is written to, a session ends and another begins; each goes back to a clean state",
            arguments: fileSystems)
        func writtenTo(fileSystem: FileSystem) async throws {
            try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
                try await sh("\(fileSystem.make) \(rig.device) > /dev/null")
                let before = try await rig.checksum()
                try await rig.activate()
                try await rig.mount()
                // Two writers that never stop, one of them with every write on the disk at once.
                try await sh(
                    """
                    cd \(rig.mountPoint); echo begun > kept
                    (while [ ! -e stop ]; do
                        dd if=/dev/urandom of=file bs=16k count=100 conv=notrunc oflag=dsync; done) \
                        > /dev/null 2>&1 &
                    (while [ ! -e stop ]; do n=$((n + 1)); echo $n > new; mv new name; sleep 0.2; done) \
                        > /dev/null 2>&1 &
                    sleep 0.3
                    """)
                for name in ["one", "two"] {
                    let said = try await Dmsnap.must([
                        "checkpoint", rig.device, "--label", name,
                    ])
                    #expect(said.contains("begins here") && said.contains("is closed"))
                    #expect(try await rig.status().state == "open")
                    try await sh("echo \(name) >> \(rig.mountPoint)/kept; sleep 0.2")
                }
                try await sh(
                    """
                    touch \(rig.mountPoint)/stop; sleep 0.5
                    while fuser -s \(rig.mountPoint)/. ; do sleep 0.1; done; :
                    """)
                // What it was is in no doubt while the mount goes on.
                try await sh("dmsnap export two \(rig.directory)/two > /dev/null")
                try await rig.unmount()
                let sessions = try await rig.sessions()
                #expect(sessions.count == 3 && sessions.allSatisfy(\.complete))
                try await sh(
                    """
                    image=\(rig.directory)/copy; view=\(rig.directory)/view; mkdir $view
                    cp --sparse=always \(rig.directory)/two $image
                    { \(fileSystem.check); } > /dev/null
                    """)
                let said = try await Dmsnap.must(["restore", "--session", "two"])
                #expect(said.contains("It is what it was before that mount."))
                try await sh(same(rig.path(), "\(rig.directory)/two"))
                try await rig.mount("ro")
                try await sh("tr '\\n' ' ' < \(rig.mountPoint)/kept | grep -x 'begun one '")
                try await rig.unmount()
                try await rig.restore(sessions[0])
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("Killed at any moment, no session is lost and nothing stays suspended")
        func killed() async throws {
            try await Rig.with(.block, size: 32 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await rig.checksum()
                try await rig.activate()
                try await rig.mount()
                for delay in ["0.08", "0.14", "0.2", "0.26", "0.32", "0.4"] {
                    try await sh(
                        """
                        head -c 300k /dev/urandom > \(rig.mountPoint)/f
                        timeout -s KILL \(delay) dmsnap checkpoint \(rig.device) > /dev/null 2>&1 || :
                        test $(dmsetup info -c --noheadings -o suspended \(rig.path())) = Active ||
                            { sleep 1; test $(dmsetup info -c --noheadings -o suspended \(rig.path())) = Active; }
                        echo \(delay) >> \(rig.mountPoint)/g; sync
                        """)
                }
                try await sh("dmsetup udevcomplete_all --yes > /dev/null")
                try await Dmsnap.must(["checkpoint", rig.device, "--label", "last"])
                try await rig.unmount()
                let sessions = try await rig.sessions()
                #expect(sessions.count >= 2 && sessions.allSatisfy(\.complete))
                for session in sessions.reversed() { try await rig.restore(session) }
                #expect(try await rig.checksum() == before)
            }
        }

        @Test(
            "Not in use, not activated, frozen, by an ordinary user: there is none; all of a mount's are reset"
        )
        func refused() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await Dmsnap.refuses(
                    ["checkpoint", rig.device], status: 66, saying: ["not activated"])
                try await rig.activate()
                #expect(
                    try await Dmsnap.must(["checkpoint", rig.device]).contains("is not in use"))
                try await sh(
                    "! setpriv --reuid 65534 --regid 65534 --clear-groups dmsnap checkpoint \(rig.device) 2>/dev/null"
                )
                #expect(try await rig.sessions().isEmpty)
                let before = try await rig.checksum()
                try await rig.mount()
                try await sh(
                    "echo one > \(rig.mountPoint)/one; fsfreeze --freeze \(rig.mountPoint)")
                try await Dmsnap.refuses(
                    ["checkpoint", rig.device], status: 75, saying: ["frozen", "--unfreeze"])
                try await sh("fsfreeze --unfreeze \(rig.mountPoint)")
                // The example for apt, as apt reads it and runs it.
                let hook = try await sh(
                    """
                    sed 's|/dev/sda1|\(rig.device)|' /usr/share/doc/dmsnap/examples/apt.conf > \(rig.directory)/apt.conf
                    apt-config -c \(rig.directory)/apt.conf dump --format '%v%n' DPkg::Pre-Invoke | sh
                    """)
                #expect(hook.contains("begins here"))
                #expect(
                    try await rig.sessions().last?.label?.hasPrefix("before apt, 2") == true)
                try await sh("echo two > \(rig.mountPoint)/two")
                try await Dmsnap.refuses(["reset", rig.device], status: 75, saying: ["in use"])
                try await sh("umount \(rig.mountPoint)")
                // What is over and not closed yet is closed first.
                let said = try await Dmsnap.must(["reset", rig.device])
                #expect(said.contains("and the 1 after it"))
                #expect(said.contains("It is what it was before that mount."))
                #expect(try await rig.checksum() == before)
                #expect(try await Dmsnap.must(["reset", rig.device]).contains("no mount to undo"))
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("What is in use is activated, and deactivated, when it is unmounted")
        func deferred() async throws {
            try await Rig.with(.image, size: 32 << 20) { rig in
                try await sh(
                    "mkfs.ext4 -q -F \(rig.device); mount -o loop \(rig.device) \(rig.mountPoint)")
                let arguments = [rig.device, "--passfile", Dmsnap.passfile]
                try await Dmsnap.refuses(["activate"] + arguments, status: 75, saying: ["loop"])
                let activate =
                    ["activate", "--when-unmounted", "--store-dir", rig.base] + arguments
                #expect(
                    try await Dmsnap.must(activate).contains("it is activated when that is over"))
                #expect(try await rig.status().state == "waiting")
                try await sh("echo before > \(rig.mountPoint)/a; umount \(rig.mountPoint)")
                try await eventually("it is activated") {
                    try await rig.status().state == "armed"
                }
                let before = try await rig.checksum()
                try await rig.mount()
                try await Dmsnap.refuses(
                    ["deactivate"] + arguments, status: 75, saying: ["mounted"])
                let said = try await Dmsnap.must(["deactivate", "--when-unmounted"] + arguments)
                #expect(said.contains("it is deactivated when that is over"))
                #expect(
                    try await Dmsnap.must(["status"]).contains(
                        "is deactivated when it is not in use"))
                try await sh("echo after > \(rig.mountPoint)/a; umount \(rig.mountPoint)")
                try await eventually("it is deactivated") { !Machine.hasActivations }
                #expect(Machine.mapperDevices.isEmpty)
                let session = try #require(try await rig.sessions().first)
                #expect(session.complete)
                let restored = try await Dmsnap.must(["restore", "--session", session.name])
                #expect(restored.contains("It is what it was before that mount."))
                #expect(try await rig.checksum() == before)
            }
        }
    }
}

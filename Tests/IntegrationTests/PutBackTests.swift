import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// Devices that are put back by themselves, by the kernel and the monitor.
    @Suite struct PutBack {
        private func isBack(_ rig: Rig, _ before: String) async throws {
            // While the kernel puts it back it shows its base already, and what that overwrites is no session yet.
            try await eventually("it is put back, and no session is left", within: 60) {
                guard rig.directories().isEmpty else { return false }
                let target = try await sh("dmsetup table \(quoted(rig.path())) | cut -d' ' -f3")
                guard target == "snapshot-origin", try await rig.status().state == "armed" else {
                    return false
                }
                return try await rig.checksum() == before
            }
        }

        @Test(
            "After each last unmount every file system is what it was, and nothing is left of the mount",
            arguments: Boundaries.fileSystems)
        func unmounted(fileSystem: Boundaries.FileSystem) async throws {
            try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
                try await fileSystem.make(
                    on: rig, "echo kept > kept; head -c 4M /dev/urandom > large")
                let before = try await rig.checksum()
                try await rig.activate(["--restore-at", "unmount"])
                try await rig.mounted(
                    """
                    grep -qx kept kept; rm kept; head -c 6M /dev/urandom > new
                    dd if=/dev/urandom of=large bs=1M count=4 conv=notrunc oflag=direct 2> /dev/null
                    """)
                try await isBack(rig, before)
                // One after the other, faster than it can be put back: none is refused.
                try await sh(
                    """
                    for i in 1 2 3 4; do
                        mount \(rig.path()) \(rig.mountPoint); test ! -e \(rig.mountPoint)/new; echo $i > \(rig.mountPoint)/file$i
                        umount \(rig.mountPoint); sleep 0.$i
                    done
                    """)
                try await isBack(rig, before)
                try await rig.deactivate()
                #expect(try await rig.checksum() == before)
            }
        }

        @Test(
            "What was put back can be undone as often as was asked for, and the way there isn't deleted"
        )
        func kept() async throws {
            try await Rig.with(.image, size: 48 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let older = try await rig.mounted("echo old > old")
                let base = try await rig.checksum()
                let said = try await Dmsnap.must([
                    "set", rig.device, "--restore-at", "unmount", "--keep", "1",
                ])
                #expect(said.contains("put back to what it was before its mount"))
                try await Dmsnap.refuses(
                    ["set", rig.device], status: 64, saying: ["--restore-at, --base or --keep"])
                for _ in 1...2 {
                    try await rig.mount()
                    let open = try #require(rig.openSessions().first)
                    try await sh("cd \(rig.mountPoint); test ! -e new; echo new > new; sync")
                    try await Dmsnap.refuses(
                        ["delete", open], status: 75, saying: [open, "unmount"])
                    try await rig.unmount()
                    try await eventually("it is put back, compared, and can be undone", within: 60)
                    {
                        let registry = try Files.read("/var/lib/dmsnap/registry.json")
                        return rig.directories().count == 3
                            && !String(decoding: registry, as: UTF8.self).contains(
                                "\"isDue\" : true")
                    }
                    #expect(try await rig.checksum() == base)
                }
                let undo = try #require(try await rig.sessions().last)
                try await rig.restore(undo)
                try await sh(
                    """
                    mount -o ro \(rig.path()) \(rig.mountPoint); cat \(rig.mountPoint)/new; umount \(rig.mountPoint)
                    """)
                try await Dmsnap.must(["set", rig.device, "--base", older.name])
                let status = try await Dmsnap.must(["status"])
                #expect(status.contains("is put back to what it was before session \(older.name)"))
                try await rig.mounted("echo more > more")
                try await eventually("it is what it was before the older one", within: 60) {
                    try await sh(
                        """
                        mount -o ro,noload \(rig.path()) \(rig.mountPoint); ls \(rig.mountPoint)
                        umount \(rig.mountPoint)
                        """) == "lost+found"
                }
                try await Dmsnap.must(["set", rig.device, "--restore-at", "never"])
            }
        }

        @Test("A monitor that is killed at random moments of it is gone on with by the next")
        func killed() async throws {
            try await Rig.with(.block, size: 48 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await rig.checksum()
                try await rig.activate(["--restore-at", "unmount", "--chunk-size", "4K"])
                for round in 1...5 {
                    try await sh(
                        """
                        mount \(rig.path()) \(rig.mountPoint)
                        head -c 8M /dev/urandom > \(rig.mountPoint)/file
                        umount \(rig.mountPoint)
                        sleep \(Double(round) * 0.3)
                        pkill -9 -f '[d]msnap monitor'; dmsetup udevcomplete_all --yes > /dev/null
                        """)
                    // Whatever command comes starts another one.
                    try await Dmsnap.must([
                        "activate", rig.device, "--passfile", Dmsnap.passfile,
                    ])
                }
                try await isBack(rig, before)
            }
        }
    }
}

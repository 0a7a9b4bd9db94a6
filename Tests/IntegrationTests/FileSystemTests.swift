import Testing

extension IntegrationTests {
    @Suite struct FileSystems {
        /// What the scenario of the first suite doesn't have.
        static let others = [
            FileSystem(name: "ext4 1K", make: "mkfs.ext4 -q -F -b 1024", megabytes: 48),
            FileSystem(
                name: "ext4 no journal", make: "mkfs.ext4 -q -F -O ^has_journal", megabytes: 48),
            FileSystem(name: "f2fs", make: "mkfs.f2fs -q -f", megabytes: 96),
            FileSystem(name: "nilfs2", make: "mkfs.nilfs2 -q -f", megabytes: 160),
            FileSystem(name: "jfs", make: "mkfs.jfs -q", megabytes: 48),
        ]

        @Test("Other file systems come back whole as well", arguments: others)
        func other(fileSystem: FileSystem) async throws {
            try await Rig.with(.block, size: fileSystem.megabytes << 20) { rig in
                try await sh("\(fileSystem.make) \(rig.device) > /dev/null 2>&1")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount()
                try await Workload.run(in: rig.mountPoint, seed: 3, operations: 40)
                try await rig.unmount()
                let session = try #require(try await rig.sessions().last)
                #expect(try await rig.checksum() != before)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("A device with 4 KiB sectors comes back whole")
        func largeSectors() async throws {
            try await Rig.with(.block, size: 320 << 20, attachment: .loop(sector: 4096)) { rig in
                try await sh("mkfs.xfs -q -f \(rig.device)")
                try await Dmsnap.refuses(
                    [
                        "activate", rig.device, "--passfile", Dmsnap.passfile, "--store-dir",
                        rig.base, "--chunk-size", "512B",
                    ], status: 64, saying: ["4096", "--chunk-size"])
                try await rig.activate()
                let before = try await rig.checksum()
                let session = try await rig.mounted("head -c 5M /dev/urandom > a; echo b > b")
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test(
            "A btrfs that was put back can be mounted, whatever name the kernel knows it by",
            arguments: [DeviceKind.block, .image])
        func knownByAnotherName(kind: DeviceKind) async throws {
            try await Rig.with(kind, size: 128 << 20) { rig in
                try await sh("mkfs.btrfs -q -f \(rig.device)")
                let before = try await rig.checksum()
                try await rig.activate()
                let session = try await rig.mounted("echo 1 > a; sync; echo 2 > a; sync")
                try await rig.mounted("echo 3 > a; sync; echo 4 > a")
                // As udev does when somebody has written to it.
                let raw = try await sh(
                    """
                    raw=\(kind == .block ? rig.device : "$(losetup -n -O NAME -j \(rig.device))")
                    blockdev --flushbufs $raw; btrfs device scan $raw > /dev/null; echo $raw
                    """)
                #expect(raw.hasPrefix("/dev/"))
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
                try await rig.mounted("echo 5 > a; sync; echo 6 > a")
                try await rig.restore(session, ["--online"])
                try await rig.mounted("echo 7 > a; sync; echo 8 > a")
                try await rig.deactivate()
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
                let options = kind == .block ? "" : "-o loop"
                try await sh(
                    """
                    mount \(options) \(rig.device) \(rig.mountPoint); test ! -e \(rig.mountPoint)/a
                    for i in 1 2 3; do echo $i > \(rig.mountPoint)/b; sync; done; umount \(rig.mountPoint)
                    """)
            }
        }

        @Test("A sparse image of 4 TiB is armed at once, and a mount of it restores")
        func sparse() async throws {
            try await Rig.with(.image, size: 4 << 40) { rig in
                try await sh("mkfs.xfs -q -f \(rig.device)")
                // 4 TiB can't be read here: its file's own map of what is where, and that content.
                let before = try await contents(rig)
                try await rig.activate()
                let session = try await rig.mounted("head -c 3M /dev/urandom > a")
                try await rig.deactivate()
                #expect(try await contents(rig) != before)
                try await rig.restore(session)
                #expect(try await contents(rig) == before)
            }
        }

        /// A checksum of everything that isn't a hole or zero.
        private func contents(_ rig: Rig) async throws -> String {
            try await sh(
                """
                fallocate --dig-holes \(rig.file)
                tar -C \(rig.directory) --sparse --mtime=@0 -cf - disk.img | sha256sum
                """)
        }

        @Test("btrfs over two devices, activated together, comes back whole")
        func twoDevices() async throws {
            try await Rig.with(.block, size: 128 << 20) { rig in
                let second = try await sh(
                    """
                    truncate -s 128M \(rig.directory)/second
                    losetup -f --show \(rig.directory)/second
                    """)
                try await sh("mkfs.btrfs -q -f -d raid1 -m raid1 \(rig.device) \(second)")
                let sum = "sha256sum < \(rig.file); sha256sum < \(rig.directory)/second"
                try await sh("sync; blockdev --flushbufs \(rig.device) \(second)")
                let before = try await sh(sum)
                try await rig.activate()
                let options = ["--passfile", Dmsnap.passfile, "--store-dir", rig.base]
                try await Dmsnap.must(["activate", second] + options)
                let paths = try await Dmsnap.status().map(\.path)
                #expect(paths.count == 2)
                try await sh("btrfs device scan \(paths.joined(separator: " ")) > /dev/null")
                try await sh(
                    """
                    mount -o device=\(paths[0]),device=\(paths[1]) \(paths[0]) \(rig.mountPoint)
                    """)
                try await eventually("a session of each is open") {
                    rig.openSessions().count == 2
                }
                try await sh(
                    "head -c 9M /dev/urandom > \(rig.mountPoint)/a; umount \(rig.mountPoint)")
                try await eventually("both are closed") { rig.openSessions().isEmpty }
                try await sh("btrfs device scan --forget")
                try await rig.deactivate()
                try await Dmsnap.must(["deactivate", second] + options.prefix(2))
                try await sh("sync; blockdev --flushbufs \(rig.device) \(second)")
                #expect(try await sh(sum) != before)
                for device in [rig.device, second] {
                    let session = try #require(try await Dmsnap.sessions(of: device).last)
                    try await rig.restore(session)
                }
                #expect(try await sh(sum) == before)
                try await sh("losetup -d \(second)")
            }
        }

        @Test("A logical volume comes back whole; the physical volume under it is refused (64)")
        func logicalVolume() async throws {
            try await Rig.with(.block) { rig in
                let options = ["--passfile", Dmsnap.passfile, "--store-dir", rig.base]
                try await sh("pvcreate -q -y \(rig.device)")
                try await Dmsnap.refuses(
                    ["activate", rig.device] + options, status: 64,
                    saying: [rig.device, "LVM2_member", "activate the logical volume"])
                try await sh(
                    """
                    vgcreate -q -y dmsnapvg \(rig.device)
                    lvcreate -q -y -L 32M -n data dmsnapvg
                    mkfs.ext4 -q -F /dev/dmsnapvg/data
                    """)
                let volume = "/dev/dmsnapvg/data"
                let before = try await sh("sha256sum < \(volume)")
                try await Dmsnap.must(["activate", volume] + options)
                let status = try #require(try await Dmsnap.status().first)
                #expect(status.path == "/dev/mapper/dmsnap-dmsnapvg-data")
                try await sh("mount \(status.path) \(rig.mountPoint)")
                try await eventually("the session is open") { !rig.openSessions().isEmpty }
                try await sh("echo x > \(rig.mountPoint)/x; umount \(rig.mountPoint)")
                try await eventually("it is closed") { rig.openSessions().isEmpty }
                try await Dmsnap.must(["deactivate", volume] + options.prefix(2))
                let session = try #require(try await Dmsnap.sessions(of: volume).first)
                #expect(session.name.hasPrefix("dmsnapvg-data_"))
                try await rig.restore(session)
                try await sh("blockdev --flushbufs \(volume)")
                #expect(try await sh("sha256sum < \(volume)") == before)
                try await sh("vgremove -q -y dmsnapvg; pvremove -q -y \(rig.device)")
            }
        }
    }
}

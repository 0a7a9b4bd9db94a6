import Testing

extension IntegrationTests {
    /// What happens to machines: disks that go and come, a udevd that dies, sizes that change, errors.
    @Suite struct Faults {
        /// Waits for scsi_debug's disk, and gives its node as `$d`.
        static let findDisk = """
            for i in $(seq 50); do
                d=$(lsblk -dno NAME,VENDOR | awk '$2 == "Linux" { print "/dev/" $1 }')
                [ -n "$d" ] && break; sleep 0.1
            done
            udevadm settle
            """

        func expectNothingSuspended() async throws {
            #expect(try await sh("dmsetup info -c --noheadings -S suspended=Suspended") == "")
        }

        @Test(
            "With udevd killed at an unmount nobody waits for ever, and the next mount has its session"
        )
        func udevKilled() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount()
                try await sh("echo x > \(rig.mountPoint)/x; sync")
                try await sh("pkill -9 udevd; umount \(rig.mountPoint)")
                try await eventually("the exchange is over", within: 90) {
                    rig.openSessions().isEmpty
                }
                try await expectNothingSuspended()
                try await sh(
                    """
                    /lib/systemd/systemd-udevd --daemon; udevadm trigger --subsystem-match=block
                    udevadm settle; dmsetup udevcomplete_all -y > /dev/null || :
                    """)
                let session = try #require(try await rig.sessions().first)
                #expect(session.complete)
                let after = try await rig.checksum()
                let next = try await rig.mounted("echo y > y")
                try await rig.restore(next)
                #expect(try await rig.checksum() == after)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("Remounted for reading and for writing again, a mount is one session, and whole")
        func remounted() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount("ro")
                let name = try #require(try await rig.status().session)
                try await sh(
                    """
                    cd \(rig.mountPoint)
                    for how in rw ro rw; do
                        mount -o remount,$how . ; touch $how 2> /dev/null || :; sync
                    done
                    """)
                #expect(try await rig.status().session == name)
                try await rig.unmount()
                let sessions = try await rig.sessions()
                #expect(sessions.map(\.name) == [name])
                try await rig.restore(sessions[0])
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("A device that grows is told of, and older sessions don't restore as if nothing were")
        func grown() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let session = try await rig.mounted("echo x > x")
                try await sh(
                    """
                    truncate -s 80M \(rig.device)
                    losetup -c $(losetup -n -O NAME -j \(rig.device))
                    """)
                try await eventually("it is told") {
                    try await Dmsnap.must(["status"]).contains("its size is")
                }
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name], status: 65, saying: [session.name])
                // What was activated of it is captured as before.
                let grown = try await rig.checksum()
                try await rig.restore(rig.mounted("echo y > y"))
                #expect(try await rig.checksum() == grown)
            }
        }

        @Test("After `dmsetup remove_all` and `losetup -D` it is put together again, and is whole")
        func removed() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let session = try await rig.mounted("echo x > x")
                for command in ["dmsetup remove_all", "losetup -D; dmsetup remove_all; losetup -D"]
                {
                    // While udev looks at a device it can't be removed, and its snapshot goes alone.
                    try await sh("udevadm settle; \(command); udevadm settle")
                    try await Dmsnap.must(["assemble"])
                    try await eventually("it is armed again") {
                        try await rig.status().state == "armed"
                    }
                }
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
                // Under a mount the snapshot alone goes: that session is lost, which is told at once.
                try await rig.mount()
                try await sh("dmsetup remove_all; losetup -D; echo y > \(rig.mountPoint)/y; sync")
                try await eventually("it is told") {
                    try await rig.status().state == "invalid"
                }
                #expect(try await Dmsnap.must(["status"]).contains("taken away"))
                try await sh("umount \(rig.mountPoint)")
                try await eventually("the next store is armed") {
                    try await rig.status().state == "armed"
                }
                let after = try await rig.checksum()
                let next = try await rig.mounted("echo z > z")
                try await rig.restore(next)
                #expect(try await rig.checksum() == after)
            }
        }

        @Test("A disk that is pulled out is missing, and armed again when it is back")
        func pulled() async throws {
            let disk = Attachment(
                attach: """
                    modprobe sd_mod; modprobe scsi_debug dev_size_mb=64 > /dev/null
                    \(Self.findDisk); echo $d
                    """,
                detach: "udevadm settle; rmmod scsi_debug")
            try await Rig.with(.block, attachment: disk) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                // By the origin: the disk itself may be back under another name.
                let origin = try await rig.path()
                let before = try await sh("sha256sum < \(origin)")
                let session = try await rig.mounted("echo x > x")
                try await sh(
                    """
                    host=$(ls -d /sys/block/$(basename \(rig.device))/device/scsi_device/* | sed 's|.*/||')
                    echo ${host%%:*} > /run/host
                    echo 1 > /sys/block/$(basename \(rig.device))/device/delete; udevadm settle
                    """)
                try await eventually("it is missing") {
                    try await Dmsnap.status().first?.state == "missing"
                }
                try await sh("echo '- - -' > /sys/class/scsi_host/host$(cat /run/host)/scan")
                try await eventually("it is armed again") {
                    try await Dmsnap.status().first?.state == "armed"
                }
                try await rig.restore(session)
                #expect(try await sh("sha256sum < \(origin)") == before)
                let device = try #require(try await Dmsnap.status().first?.device)
                try await Dmsnap.must(["deactivate", device, "--passfile", Dmsnap.passfile])
            }
        }

        @Test(
            "A device of 16 PiB is restored at both ends, and one too large for its store is refused"
        )
        func huge() async throws {
            let zeros = Attachment(
                attach: """
                    size=$((1 << 45))
                    dmsetup create zeros --table "0 $size zero"
                    dmsetup create huge --table \
                        "0 $size snapshot /dev/mapper/zeros $(losetup -f --show "$file") N 8"
                    udevadm settle; readlink -f /dev/mapper/huge
                    """,
                detach: """
                    dmsetup remove huge; dmsetup remove zeros
                    losetup -d $(losetup -n -O NAME -j $directory/disk.img)
                    """)
            try await Rig.with(.block, attachment: zeros) { rig in
                let pass = ["--passfile", Dmsnap.passfile]
                let refused = try await Dmsnap.call(
                    ["activate", rig.device, "--store-dir", rig.base] + pass)
                #expect(refused.status != 0 && refused.err.contains("too large"), "\(refused.err)")
                try await sh(
                    """
                    truncate -s 400M \(rig.directory)/xfs; mkfs.xfs -q \(rig.directory)/xfs
                    mkdir -p -m 700 \(rig.base); mount -o loop \(rig.directory)/xfs \(rig.base)
                    chmod 700 \(rig.base)
                    """)
                try await rig.activate(["--chunk-size", "1M"])
                let path = try await rig.path()
                let last = (1 << 54) - 4096
                try await sh(
                    """
                    for at in 0 \(last); do
                        printf changed | dd of=\(path) bs=4096 seek=$at oflag=seek_bytes \
                            conv=notrunc,fsync status=none
                    done
                    """)
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                #expect(session.chunks == 2)
                try await rig.restore(session)
                for at in [0, last] {
                    #expect(
                        try await sh(
                            """
                            dd if=\(rig.device) bs=4096 skip=\(at) iflag=skip_bytes count=1 \
                            status=none | tr -d '\\0' | wc -c
                            """) == "0")
                }
            }
        }

        @Test("Errors of the disk stop a restore (74), which completes later, and none is silent")
        func errors() async throws {
            let sick = Attachment(
                attach: """
                    loop=$(losetup -f --show "$file")
                    dmsetup create sick --table "0 $(blockdev --getsz $loop) flakey $loop 0 3600 0"
                    udevadm settle; readlink -f /dev/mapper/sick
                    """,
                detach: """
                    dmsetup remove sick; losetup -d $(losetup -n -O NAME -j $directory/disk.img)
                    """)
            func set(_ table: String) async throws {
                try await sh(
                    """
                    set -- $(dmsetup table sick)
                    dmsetup suspend --nolockfs sick
                    dmsetup load sick --table "0 $2 flakey $4 0 \(table)"; dmsetup resume sick
                    """)
            }
            try await Rig.with(.block, attachment: sick) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mounted("head -c 4M /dev/urandom > a")
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                let changed = try await rig.checksum()
                try await set("0 3600 1 error_writes")
                let failed = try await Dmsnap.call(["restore", "--session", session.name])
                #expect(failed.status == 74, "\(failed.err)")
                #expect(failed.err.contains(rig.device))
                try await set("3600 0")
                #expect(try await rig.checksum() == changed)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }
    }
}

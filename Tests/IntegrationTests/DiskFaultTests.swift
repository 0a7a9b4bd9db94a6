import Testing

/// What happens to the disks and file systems that dmsnap itself lives on, and to devices under it.
extension IntegrationTests.Faults {
    @Test(
        "While the registry can't be written the device goes on; then all that was captured is there",
        arguments: [
            ("dd if=/dev/zero of=$state/fill bs=1k 2> /dev/null || :", "rm $state/fill"),
            ("mount -o remount,ro $state", "mount -o remount,rw $state"),
        ])
    func registry(fault: String, end: String) async throws {
        try await Rig.with(.block) { rig in
            let state = "state=/var/lib/dmsnap;"
            try await sh(
                """
                \(state) truncate -s 2M \(rig.directory)/state; mkfs.ext4 -q -F -m 0 \(rig.directory)/state
                mkdir -p -m 755 $state; mv $state \(rig.directory)/kept; mkdir $state
                mount -o loop \(rig.directory)/state $state; mkfs.ext4 -q -F \(rig.device)
                """)
            try await rig.activate()
            let before = try await rig.checksum()
            try await rig.mount()
            try await sh(
                """
                \(state) echo x > \(rig.mountPoint)/x; sync; \(fault); umount \(rig.mountPoint); sleep 2
                """)
            try await expectNothingSuspended()
            // Nothing can be begun that nobody could write down, and nothing of it is left.
            let refused = try await Dmsnap.call([
                "activate", "\(rig.directory)/state", "--passfile", Dmsnap.passfile, "--store-dir",
                rig.base,
            ])
            #expect(refused.status != 0)
            try await sh(
                """
                truncate -s 8M \(rig.directory)/other
                dmsnap activate \(rig.directory)/other --passfile \(Dmsnap.passfile) 2>&1 && exit 1
                ! dmsetup ls | grep other && ! losetup -n -O NAME -j \(rig.directory)/other | grep .
                """)
            try await sh(
                """
                mount \(rig.path()) \(rig.mountPoint); echo y > \(rig.mountPoint)/y; umount \(rig.mountPoint)
                \(state) \(end)
                """)
            try await eventually("it is armed, and its session closed", within: 30) {
                guard rig.openSessions().isEmpty, try await rig.status().state == "armed" else {
                    return false
                }
                return try await !rig.sessions().isEmpty
            }
            let sessions = try await rig.sessions()
            #expect(sessions.allSatisfy { $0.complete })
            try await rig.restore(try #require(sessions.first))
            #expect(try await rig.checksum() == before)
            try await rig.deactivate()
            try await eventually("the monitor ends") { Machine.monitors.isEmpty }
            try await sh("\(state) umount $state; rmdir $state; mv \(rig.directory)/kept $state")
        }
    }

    @Test("A device that shrinks is told of, and nothing is said to be what it was")
    func shrunk() async throws {
        try await Rig.with(.image) { rig in
            try await sh("mkfs.ext4 -q -F \(rig.device)")
            try await rig.activate()
            let session = try await rig.mounted("echo x > x")
            let loop = "losetup -c $(losetup -n -O NAME -j \(rig.device))"
            try await sh("truncate -s 48M \(rig.device); \(loop)")
            try await eventually("it is told") {
                try await Dmsnap.must(["status"]).contains("its size is")
            }
            for size in [48, 64] {
                try await sh("truncate -s \(size)M \(rig.device); \(loop)")
                let refused = try await Dmsnap.call(["restore", "--session", session.name])
                #expect([64, 65].contains(refused.status), "\(refused.err)")
                try await expectNothingSuspended()
            }
            try await rig.deactivate()
        }
    }

    @Test(
        "What can't be read can't be kept: that session is lost, said, and no restore goes past it")
    func unreadable() async throws {
        let dust = Attachment(
            attach: """
                modprobe dm-dust
                loop=$(losetup -f --show "$file")
                dmsetup create dust --table "0 $(blockdev --getsz $loop) dust $loop 0 512"
                udevadm settle; readlink -f /dev/mapper/dust
                """,
            detach: """
                dmsetup remove dust; losetup -d $(losetup -n -O NAME -j $directory/disk.img)
                """)
        try await Rig.with(.block, attachment: dust) { rig in
            try await sh("mkfs.ext4 -q -F \(rig.device)")
            try await rig.activate()
            let older = try await rig.mounted("echo x > x")
            let path = try await rig.path()
            // One sector of a chunk that nobody wrote to yet; the write itself is elsewhere in it.
            try await sh(
                """
                dmsetup message dust 0 addbadblock $((40 * 2048)); dmsetup message dust 0 enable
                dd if=/dev/urandom of=\(path) bs=4k seek=$((40 * 256 + 2)) count=1 conv=notrunc,fsync \
                    oflag=direct status=none
                """)
            try await eventually("the session is lost") {
                try await rig.sessions().contains { $0.state == "invalid" }
            }
            try await expectNothingSuspended()
            try await sh("dmsetup message dust 0 disable")
            try await eventually("it is armed again") { try await rig.status().state == "armed" }
            try await Dmsnap.refuses(
                ["restore", "--session", older.name], status: 65,
                saying: ["can't be restored from"])
            let now = try await rig.checksum()
            try await rig.restore(rig.mounted("echo z > z"))
            #expect(try await rig.checksum() == now)
        }
    }

    @Test(
        "With the disk of the stores pulled out the device goes on, and is captured again when it is back"
    )
    func storeGone() async throws {
        try await Rig.with(.image) { rig in
            try await sh(
                """
                modprobe sd_mod; modprobe scsi_debug dev_size_mb=96 > /dev/null
                \(Self.findDisk); basename $d > /run/disk; mkfs.ext4 -q -F $d
                mkdir -p -m 700 \(rig.base); mount $d \(rig.base); chmod 700 \(rig.base)
                mkfs.ext4 -q -F \(rig.device)
                """)
            try await rig.activate()
            let before = try await rig.checksum()
            let first = try await rig.mounted("echo x > x")
            try await rig.mount()
            try await sh(
                """
                cd /sys/block/$(cat /run/disk)/device; host=$(ls scsi_device); echo ${host%%:*} > /run/host
                echo 1 > delete; udevadm settle
                head -c 2M /dev/urandom > \(rig.mountPoint)/y; sync -f \(rig.mountPoint)
                """)
            try await eventually("that is told", within: 30) {
                let state = try await rig.status().state
                return ["invalid", "missing"].contains(state)
            }
            try await sh("umount \(rig.mountPoint)")
            try await expectNothingSuspended()
            // It can be used meanwhile.
            try await sh(
                """
                mount \(rig.path()) \(rig.mountPoint); cmp \(rig.mountPoint)/y \(rig.mountPoint)/y
                umount \(rig.mountPoint); umount -l \(rig.base)
                echo '- - -' > /sys/class/scsi_host/host$(cat /run/host)/scan
                \(Self.findDisk); mount $d \(rig.base)
                """)
            try await eventually("it is armed again", within: 60) {
                try await rig.status().state == "armed"
            }
            // What came after it is lost, and so it says.
            try await Dmsnap.refuses(
                ["restore", "--session", first.name], status: 65,
                saying: ["can't be restored from"])
            let now = try await rig.checksum()
            try await rig.restore(rig.mounted("echo z > z"))
            #expect(try await rig.checksum() == now)
            #expect(now != before)
            try await rig.deactivate()
            try await eventually("the monitor ends") { Machine.monitors.isEmpty }
            try await sh("umount \(rig.base); udevadm settle; rmmod scsi_debug")
        }
    }

    @Test("Two paths to one disk are one device, and what is written by the other one is told of")
    func twoPaths() async throws {
        let disk = Attachment(
            attach: """
                modprobe sd_mod; modprobe scsi_debug dev_size_mb=64 add_host=2 vpd_use_hostno=0 > /dev/null
                for i in $(seq 50); do
                    set -- $(lsblk -dno NAME,VENDOR | awk '$2 == "Linux" { print "/dev/" $1 }')
                    [ $# = 2 ] && break; sleep 0.1
                done
                udevadm settle; echo $2 > /run/other; echo $1
                """,
            detach: "udevadm settle; rmmod scsi_debug")
        try await Rig.with(.block, attachment: disk) { rig in
            let other = try await sh("cat /run/other")
            try await sh("mkfs.ext4 -q -F \(rig.device)")
            try await rig.activate()
            #expect(
                try await Dmsnap.must(["activate", other, "--passfile", Dmsnap.passfile])
                    .contains("activated"))
            #expect(try await Dmsnap.status().count == 1)
            let uuid = try await sh("blkid -p -s UUID -o value \(rig.device)")
            let before = try await rig.checksum()
            let first = try await rig.mounted("echo x > x")
            try await sh(
                "udevadm settle; mount UUID=\(uuid) \(rig.mountPoint); findmnt -no SOURCE \(rig.mountPoint) | grep dmsnap; umount \(rig.mountPoint)"
            )
            try await rig.restore(first)
            #expect(try await rig.checksum() == before)
            // Past us: seen at once.
            let second = try await rig.mounted("echo y > y")
            try await sh("mount \(other) \(rig.mountPoint); echo z > \(rig.mountPoint)/z; sync")
            try await eventually("that is told") {
                try await Dmsnap.must(["status"]).contains("another path")
            }
            try await sh("umount \(rig.mountPoint)")
            try await Dmsnap.refuses(
                ["restore", "--session", second.name], status: 65, saying: ["--accept-writes"])
            // In use by one path is in use by the other.
            try await rig.deactivate()
            try await sh("mount \(other) \(rig.mountPoint)")
            for command in [
                ["restore", "--session", first.name, "--accept-writes"],
                ["activate", rig.device, "--passfile", Dmsnap.passfile],
            ] {
                try await Dmsnap.refuses(
                    command, status: 75, saying: ["other path \(other)", rig.mountPoint])
            }
            try await sh("umount \(rig.mountPoint)")
        }
    }

    @Test("With udevd stopped nobody waits for ever, and all is as ever when it goes on")
    func udevStopped() async throws {
        try await Rig.with(.block) { rig in
            try await sh("mkfs.ext4 -q -F \(rig.device)")
            try await rig.activate()
            let before = try await rig.checksum()
            try await rig.mount()
            try await sh(
                "echo x > \(rig.mountPoint)/x; pkill -STOP udevd; umount \(rig.mountPoint)")
            try await eventually("the exchange is over", within: 90) { rig.openSessions().isEmpty }
            try await expectNothingSuspended()
            try await sh(
                """
                pkill -CONT udevd; udevadm settle; dmsetup udevcomplete_all -y > /dev/null || :
                """)
            let session = try #require(try await rig.sessions().first)
            let after = try await rig.checksum()
            try await rig.restore(rig.mounted("echo y > y"))
            #expect(try await rig.checksum() == after)
            try await rig.restore(session)
            #expect(try await rig.checksum() == before)
        }
    }
}

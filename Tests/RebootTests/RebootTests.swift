import Testing
import VirtualMachine

/// What happens over boots: each test's machine is killed or shut down, and booted on the same disks.
@Suite(.serialized) struct RebootTests {
    static let uuid = "6b1b1f3c-6c5e-4f0e-9d0b-1f1f4e9a7c11"

    @Test("With systemd, fstab's UUID= and image lines mount through us after a clean reboot")
    func cleanReboot() async throws {
        try await Reboots.with(.systemd) { machine in
            let before = try await machine.boot(
                """
                mkfs.ext4 -q -E nodiscard -U \(Self.uuid) /dev/vm/a
                truncate -s 64M /srv/disk.img
                mkfs.ext4 -q -F /srv/disk.img
                sum /dev/vm/a; sum /srv/disk.img
                mkdir -p /etc/dmsnap
                cat > /etc/dmsnap/dmsnap.toml <<'END'
                [archive]
                after = ["/bin/sh", "-c", 'echo $DMSNAP_SESSION $(readlink /proc/self/ns/net) >> /srv/told']
                END
                activate /dev/vm/a
                activate /srv/disk.img
                mkdir -p /srv/image
                echo 'UUID=\(Self.uuid) /srv/a ext4 defaults 0 2' >> /etc/fstab
                echo '/dev/mapper/dmsnap-disk.img /srv/image ext4 defaults 0 2' >> /etc/fstab
                systemctl daemon-reload
                mount /srv/a
                mount /srv/image
                until_state open
                echo first > /srv/a/file
                echo first > /srv/image/file
                """)
            let started = ContinuousClock.now
            let second = try await machine.boot(
                """
                findmnt -n -o SOURCE /srv/a
                findmnt -n -o SOURCE /srv/image
                cat /srv/a/file /srv/image/file
                systemctl --failed --no-legend
                # In its sandbox, which takes no mount from its sight.
                pid=$(systemctl show -P MainPID dmsnap-monitor)
                same() { [ $(readlink /proc/$pid/ns/$1) = $(readlink /proc/1/ns/$1) ]; }
                same mnt && ! same net && echo sandboxed
                sed -n 's/^\\(NoNewPrivs\\|Seccomp\\|CapBnd\\):\\t//p' /proc/$pid/status | xargs
                # Closed at the shutdown, not found cut short at the boot.
                grep -l '"interrupted" : true' /snapshot/*/session.json || echo none interrupted
                echo second > /srv/a/file
                """)
            let lines = second.split(separator: "\n")
            #expect(lines.first?.hasPrefix("/dev/mapper/dmsnap-ubd") == true)
            #expect(
                lines.dropFirst() == [
                    "/dev/mapper/dmsnap-disk.img", "first", "first", "sandboxed",
                    "0000000000280002 1 2", "none interrupted",
                ])
            // No unit waited for its 90 seconds.
            #expect(ContinuousClock.now - started < .seconds(115))
            let after = try await machine.boot(
                """
                umount /srv/a /srv/image
                until_state armed
                # What it sees of another mount namespace, it sees in its sandbox, too.
                origin=$(dmsnap status --json | jq -r '.[0].path')
                mkdir -p /srv/hidden
                unshare --mount --propagation private sh -euc "
                    mount $origin /srv/hidden; echo third > /srv/hidden/third; sync
                    until dmsnap status --json | jq -e '.[0].state == \\"open\\"' > /dev/null; do
                        sleep 0.2
                    done
                    umount /srv/hidden"
                until_state armed
                hidden=$(field '.[-1].name')
                dmsnap show $hidden | grep '^mounted on */srv/hidden' >&2
                until [ -e /snapshot/$hidden/chunks.dmsz ]; do sleep 0.2; done
                # The command for archives runs in no sandbox of the monitor's.
                until grep -q "^$hidden " /srv/told; do sleep 0.2; done
                grep -qxF "$hidden $(readlink /proc/1/ns/net)" /srv/told
                deactivate /srv/disk.img
                device=$(dmsnap status --json | jq -r '.[0].device')
                deactivate $device
                dmsnap restore --session $(field '[.[] | select(.device == "/srv/disk.img")][0].name') \
                    > /dev/null 2>&1
                dmsnap restore --session $(field "[.[] | select(.device == \\"$device\\")][0].name") \
                    > /dev/null 2>&1
                sum $device; sum /srv/disk.img
                """)
            #expect(after == before)
        }
    }

    @Test(
        "A machine killed while files are written leaves an interrupted session that restores; what was written over a device is there, or given up, as was wished for"
    )
    func killedWhileWriting() async throws {
        try await Reboots.with(.systemd) { machine in
            try await machine.crash(
                after: .milliseconds(300),
                """
                mkfs.ext4 -q -E nodiscard -U \(Self.uuid) /dev/vm/a
                sum /dev/vm/a > /etc/before
                activate /dev/vm/a
                echo 'UUID=\(Self.uuid) /srv/a ext4 defaults 0 2' >> /etc/fstab
                mount /srv/a
                until_state open
                for when in boot never ram; do
                    truncate -s 24M /srv/$when.img
                    mkfs.ext4 -q -F /srv/$when.img
                    sum /srv/$when.img > /etc/$when
                    option=--restore-at; [ $when != ram ] || option=--store
                    dmsnap activate /srv/$when.img --passfile $password --mode overlay \
                        $option $when > /dev/null
                    mkdir /srv/$when
                    echo "/dev/mapper/dmsnap-$when.img /srv/$when ext4 defaults 0 2" >> /etc/fstab
                    mount /dev/mapper/dmsnap-$when.img /srv/$when
                    echo written > /srv/$when/file
                done
                truncate -s 24M /srv/back.img
                mkfs.ext4 -q -F /srv/back.img
                sum /srv/back.img > /etc/back
                dmsnap activate /srv/back.img --passfile $password --restore-at boot > /dev/null
                mkdir /srv/back
                mount /dev/mapper/dmsnap-back.img /srv/back
                head -c 4M /dev/urandom > /srv/back/file
                for when in later gone; do
                    truncate -s 24M /srv/$when.img
                    mkfs.ext4 -q -F /srv/$when.img
                    mkdir /srv/$when
                done
                sum /srv/gone.img > /etc/gone
                mount -o loop /srv/later.img /srv/later
                dmsnap activate /srv/later.img --passfile $password --when-unmounted > /dev/null
                activate /srv/gone.img
                mount /dev/mapper/dmsnap-gone.img /srv/gone
                echo written > /srv/gone/file
                dmsnap deactivate /srv/gone.img --passfile $password --when-unmounted > /dev/null
                sync
                (while :; do dd if=/dev/urandom of=/srv/a/$((i = (i + 1) % 9)) bs=64k count=40 \
                    status=none; done) &
                sleep 1
                vm-signal crash
                wait
                """)
            let after = try await machine.boot(
                """
                sum /dev/mapper/dmsnap-back.img | cmp - /etc/back && echo put back
                field '[.[] | select(.device == "/srv/back.img")] | length'
                dmsnap set /srv/back.img --restore-at unmount > /dev/null
                due() { grep -q '"isDue" : true' /var/lib/dmsnap/registry.json; }
                mount /dev/mapper/dmsnap-back.img /srv/back
                head -c 4M /dev/urandom > /srv/back/file
                umount /srv/back
                for i in $(seq 100); do due && break; sleep 0.1; done
                for i in $(seq 100); do due || break; sleep 0.1; done
                sum /dev/mapper/dmsnap-back.img | cmp - /etc/back && echo again
                # Mounted again by fstab, through us, with a session of its own.
                findmnt -n -o SOURCE /srv/a | cut -c1-22
                until_state open
                field '.[0].complete'
                name=$(field '.[0].name')
                grep -c '"interrupted" : true' /snapshot/$name/session.json
                umount /srv/a
                until_state armed
                dmsnap restore --session $name > /dev/null 2>&1
                sum /dev/mapper/dmsnap-ubdc | cmp - /etc/before && echo whole
                cat /srv/never/file
                [ -e /srv/boot/file ] || [ -e /srv/ram/file ] || echo given up
                findmnt -no SOURCE /srv/ram
                # What was to be done when it is unmounted was done at the boot, which nobody has mounted it at.
                for i in $(seq 100); do [ -e /dev/mapper/dmsnap-gone.img ] || break; sleep 0.1; done
                for i in $(seq 100); do [ ! -e /dev/mapper/dmsnap-later.img ] || break; sleep 0.1; done
                dmsnap status --json | jq -r '.[] | select(.device | test("later|gone")) | .device, .state'
                dmsnap restore \
                    --session $(field '[.[] | select(.device == "/srv/gone.img")][0].name') > /dev/null 2>&1
                sum /srv/gone.img | cmp - /etc/gone && echo gone
                # The monitor may do that, in its sandbox.
                printf '[store]\\nreserve = "1T"\\n' > /etc/dmsnap/dmsnap.toml
                systemctl restart dmsnap-monitor
                until findmnt -no OPTIONS /srv/never | grep -q ^ro; do sleep 0.2; done
                umount /srv/never /srv/boot /srv/ram
                for when in boot never ram; do sum /srv/$when.img | cmp - /etc/$when && echo unwritten; done
                """)
            #expect(
                after.split(separator: "\n") == [
                    "put back", "0", "again",
                    "/dev/mapper/dmsnap-ubd", "true", "1", "whole", "written", "given up",
                    "/dev/mapper/dmsnap-ram.img", "/srv/later.img", "armed", "gone",
                    "unwritten", "unwritten", "unwritten",
                ])
        }
    }

    @Test("A machine killed at random moments of mounts and unmounts loses no session")
    func killedAnywhere() async throws {
        try await Reboots.with(.plain) { machine in
            try await machine.boot(
                """
                mkfs.ext4 -q -E nodiscard /dev/vm/a
                sum /dev/vm/a > /etc/before
                activate /dev/vm/a
                sync
                """)
            for delay in [150, 400, 700, 1000, 1300, 1700] {
                try await machine.crash(
                    after: .milliseconds(delay),
                    """
                    dmsnap assemble > /dev/null
                    origin=$(dmsnap status --json | jq -r '.[0].path')
                    vm-signal crash
                    while :; do
                        mount $origin /srv/a
                        head -c 300k /dev/urandom > /srv/a/file
                        umount /srv/a
                    done
                    """)
            }
            let end = try await machine.boot(
                """
                dmsnap assemble > /dev/null
                until_state armed
                dmsetup info -c --noheadings -o name,suspended | grep -i suspended || true
                # Every store belongs to a session or to the armed device.
                ls /snapshot/.armed | wc -l
                ls -d /snapshot/*_*Z* | while read -r directory; do
                    dmsnap show $(basename $directory) > /dev/null || echo bad $directory
                done
                first=$(field '.[0].name')
                dmsnap restore --session $first > /dev/null 2>&1
                sum $(dmsnap status --json | jq -r '.[0].path') | cmp - /etc/before && echo whole
                """)
            #expect(end.split(separator: "\n") == ["1", "whole"])
        }
    }

    /// A device over the disk whose writes take so many milliseconds.
    private static let slow = """
        slow() {
            table="0 $(blockdev --getsz /dev/vm/a) delay /dev/vm/a 0 0 /dev/vm/a 0 $1"
            if [ -e /dev/mapper/slow ]; then
                dmsetup suspend --nolockfs slow
                dmsetup load slow --table "$table"
                dmsetup resume slow
            else dmsetup create slow --uuid SLOW --table "$table"
            fi
        }

        """

    @Test("A machine killed in the middle of an online restore goes on with it at the boot")
    func killedMerging() async throws {
        try await Reboots.with(.plain) { machine in
            try await machine.crash(
                Self.slow + """
                    slow 0
                    mkfs.ext4 -q -E nodiscard /dev/mapper/slow
                    dmsnap activate /dev/mapper/slow --passfile $password --chunk-size 4K > /dev/null
                    origin=$(dmsnap status --json | jq -r '.[0].path')
                    mount $origin /srv/a
                    until_state open
                    head -c 12M /dev/urandom > /srv/a/file
                    umount /srv/a
                    until_state armed
                    sum $origin > /etc/after
                    slow 700
                    dmsnap restore --session $(field '.[0].name') --online > /dev/null 2>&1
                    # Over what is back, and what is not.
                    dd if=/dev/urandom of=$origin bs=1M count=16 seek=4 oflag=direct status=none
                    sum $origin > /etc/shown
                    sync
                    dmsnap status --json | jq -e '.[0].merge.bytesDone < .[0].merge.bytesTotal'
                    vm-signal crash
                    sleep 60
                    """)
            let end = try await machine.boot(
                Self.slow + """
                    slow 0
                    dmsnap assemble > /dev/null
                    origin=$(dmsnap status --json | jq -r '.[0].path')
                    sum $origin | cmp - /etc/shown && echo shown
                    for _ in $(seq 100); do
                        [ $(dmsetup table $origin | cut -d' ' -f3) != snapshot-origin ] || break
                        sleep 0.1
                    done
                    sum $origin | cmp - /etc/shown && echo ended
                    ls -A /snapshot/.merging
                    dmsnap restore --session $(field '.[1].name') > /dev/null 2>&1
                    sum $origin | cmp - /etc/after && echo undone
                    """)
            #expect(
                end.split(separator: "\n") == ["shown", "ended", "undone"])
        }
    }

    @Test("A store and a registry whose disk took no more writes: nobody claims what is not so")
    func forgotten() async throws {
        try await Reboots.with(.plain) { machine in
            try await machine.crash(
                """
                mkfs.ext4 -q -E nodiscard /dev/vm/a
                umount /snapshot
                size=$(blockdev --getsz /dev/vm/sessions)
                dmsetup create sick --table "0 $size flakey /dev/vm/sessions 0 3600 0"
                mount /dev/mapper/sick /snapshot
                mkdir -p /snapshot/state /var/lib/dmsnap
                mount --bind /snapshot/state /var/lib/dmsnap
                sum /dev/vm/a > /etc/before
                activate /dev/vm/a
                mount $(dmsnap status --json | jq -r '.[0].path') /srv/a
                until_state open
                head -c 3M /dev/urandom > /srv/a/kept
                sync
                dmsetup suspend --nolockfs sick
                dmsetup load sick --table "0 $size flakey /dev/vm/sessions 0 0 3600 1 error_writes"
                dmsetup resume sick
                head -c 6M /dev/urandom > /srv/a/lost
                sync -f /srv/a
                # The kernel has dropped the snapshot, and the monitor has seen it.
                until dmsetup status | grep -q Invalid || ! dmsetup status | grep -q dmsnapcow
                do sleep 0.1; done
                sleep 1
                vm-signal crash
                wait
                """)
            let after = try await machine.boot(
                """
                mount --bind /snapshot/state /var/lib/dmsnap
                dmsnap assemble > /dev/null
                until_state armed
                name=$(field '.[0].name')
                dmsnap restore --session $name > /tmp/said 2>&1 || echo refused $?
                cat /tmp/said
                sum $(dmsnap status --json | jq -r '.[0].path') | cmp -s - /etc/before && echo whole
                true
                """)
            // What is missing was seen in a sample, or else it is a condition of what is said.
            #expect(["refused 65", "provided that"].contains { after.contains($0) }, "\(after)")
            #expect(!after.contains("whole"))
        }
    }

    @Test("A device that comes back under another kernel name is found; its twin is not taken")
    func renamed() async throws {
        try await Reboots.with(.systemd, disks: ["a", "b"]) { machine in
            try await machine.boot(
                """
                mkfs.ext4 -q -E nodiscard -U \(Self.uuid) /dev/vm/a
                mkfs.ext4 -q -E nodiscard /dev/vm/b
                readlink -f /dev/vm/a
                sum /dev/vm/a > /etc/before
                activate /dev/vm/a
                echo 'UUID=\(Self.uuid) /srv/a ext4 defaults 0 2' >> /etc/fstab
                mount /srv/a
                until_state open
                echo first > /srv/a/file
                """)
            let second = try await machine.boot(
                """
                cat /srv/a/file
                dmsnap status --json | jq -r '.[0].device, .[0].path'
                umount /srv/a
                deactivate /dev/vm/a
                dmsnap restore --session $(field '.[0].name') --device /dev/vm/a > /dev/null 2>&1
                sum /dev/vm/a | cmp - /etc/before && echo whole
                """, order: ["b", "a"])
            #expect(
                second.split(separator: "\n") == [
                    "first", "/dev/ubdd", "/dev/mapper/dmsnap-ubdc", "whole",
                ])
        }
    }
}

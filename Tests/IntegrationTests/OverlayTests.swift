import Block
import Foundation
import SystemPackage
import Testing

extension IntegrationTests {
    /// Devices that are not written: what is written goes into a store in their place.
    @Suite struct Overlays {
        private func activate(_ rig: Rig, _ restoreAt: String = "never") async throws {
            try await rig.activate(["--mode", "overlay", "--restore-at", restoreAt])
        }

        /// The device itself, past its overlay.
        private func raw(_ rig: Rig) async throws -> String {
            try await sh(
                """
                [ ! -b \(rig.device) ] || blockdev --flushbufs \(rig.device)
                xxh128sum < \(rig.device) | cut -c-32
                """)
        }

        private func mounted(_ rig: Rig, _ script: String) async throws {
            try await sh(
                """
                mount \(rig.path()) \(rig.mountPoint); cd \(rig.mountPoint)
                \(script)
                cd /; umount \(rig.mountPoint)
                """)
        }

        @Test(
            "What is written shows and is not on the device; discarded it is gone, committed it is there",
            arguments: Boundaries.fileSystems)
        func life(fileSystem: Boundaries.FileSystem) async throws {
            try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
                try await fileSystem.make(
                    on: rig, "echo kept > kept; head -c 4M /dev/urandom > large")
                let before = try await raw(rig)
                try await activate(rig)
                let script = """
                    rm kept; head -c 6M /dev/urandom > new; sync
                    dd if=/dev/urandom of=large bs=1M count=4 conv=notrunc oflag=direct 2> /dev/null
                    """
                try await mounted(rig, script)
                #expect(try await raw(rig) == before, "the device was written")
                #expect(try await rig.status().state == "overlay")
                #expect(try await rig.sessions().isEmpty)
                try await mounted(rig, "test ! -e kept; test -e new")
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: ["commit", "discard"])
                #expect(try await Dmsnap.must(["discard", rig.device]).contains("is what it was"))
                #expect(try await rig.checksum() == before)
                try await mounted(rig, "grep -qx kept kept; test ! -e new; " + script)
                let shown = try await rig.checksum()
                #expect(shown != before)
                #expect(try await Dmsnap.must(["commit", rig.device]).contains("are on it now"))
                #expect(try await rig.checksum() == shown)
                #expect(try await raw(rig) == shown, "it is not committed")
                #expect(
                    try await Dmsnap.must(["discard", rig.device]).contains("nothing was written"))
                try await rig.deactivate()
                #expect(try await raw(rig) == shown)
            }
        }

        @Test("With each unmount the device is what it was, also in a mount namespace of its own")
        func atUnmount() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await raw(rig)
                try await activate(rig, "unmount")
                // What it isn't, it isn't said to be.
                let again = ["activate", rig.device, "--passfile", Dmsnap.passfile]
                let overlay = again + ["--mode", "overlay"]
                #expect(try await Dmsnap.must(overlay).contains("already"))
                try await Dmsnap.refuses(
                    overlay + ["--restore-at", "boot"], status: 64,
                    saying: ["--restore-at unmount", "dmsnap set"])
                try await Dmsnap.refuses(again, status: 64, saying: ["under an overlay"])
                try await Dmsnap.refuses(
                    overlay + ["--chunk-size", "128K"], status: 64, saying: ["with chunks of"])
                for round in 1...3 {
                    try await mounted(
                        rig, "test ! -e round; echo \(round) > round; head -c 3M /dev/urandom > new"
                    )
                    try await eventually("it is put back", within: 30) {
                        try await rig.checksum() == before
                    }
                }
                try await sh(
                    """
                    unshare -m sh -euc 'mount --make-rprivate /
                    mount \(rig.path()) \(rig.mountPoint); echo x > \(rig.mountPoint)/hidden
                    umount \(rig.mountPoint)'
                    """)
                try await eventually("it is put back", within: 30) {
                    try await rig.checksum() == before
                }
                try await Dmsnap.must(["set", rig.device, "--restore-at", "never"])
                try await mounted(rig, "echo stays > stays")
                try await sh("sleep 1")
                try await mounted(rig, "grep -qx stays stays")
                try await Dmsnap.must(["discard", rig.device])
                #expect(try await raw(rig) == before)
            }
        }

        @Test(
            "What the configuration names is activated as it appears, and `apply` says what it does"
        )
        func byRule() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                let uuid = "3f0e9d0b-6b1b-4c5e-8d0b-1f1f4e9a7c22"
                let settings = "/etc/dmsnap/dmsnap.toml"
                try await sh(
                    """
                    truncate -s 16M \(rig.directory)/other
                    mkfs.ext4 -q -F -U \(uuid) \(rig.directory)/other; mkfs.ext4 -q -F \(rig.device)
                    mkdir -p /etc/dmsnap; cat > \(settings) <<'END'
                    [[device]]
                    uuid = "\(uuid)"
                    mode = "overlay"
                    restore-at = "unmount"
                    [[device]]
                    path = "\(rig.device)"
                    END
                    """)
                let first = try await Dmsnap.must(["apply"])
                #expect(first.contains("UUID=\(uuid): not there yet"), "\(first)")
                #expect(first.contains("\(rig.device): activated, mount /dev/mapper/"), "\(first)")
                let loop = try await sh("losetup -f --show \(rig.directory)/other")
                try await eventually("it is activated") {
                    try await Dmsnap.status().contains { $0.device == loop }
                }
                let second = try await Dmsnap.must(["apply"])
                #expect(second.components(separatedBy: "already so").count == 3, "\(second)")
                let before = try await sh("xxh128sum < \(loop)")
                try await sh(
                    """
                    mount -U \(uuid) \(rig.mountPoint); echo x > \(rig.mountPoint)/x
                    umount \(rig.mountPoint)
                    """)
                try await eventually("it is put back") {
                    try await sh("xxh128sum < /dev/mapper/dmsnap-$(basename \(loop))") == before
                }
                try await sh("rm \(settings)")
                for device in [loop, rig.device] {
                    try await Dmsnap.must(["deactivate", device, "--passfile", Dmsnap.passfile])
                }
                try await sh("losetup -d \(loop); rm -rf /snapshot/*")
            }
        }

        @Test("A store in memory touches no disk, and nothing of it is left after a boot")
        func inMemory() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await raw(rig)
                try await rig.activate(["--mode", "overlay", "--store", "ram"])
                let allocated = "du --block-size=1 -s /run/dmsnap/stores | cut -f 1"
                let empty = try #require(Int(await sh(allocated)))
                try await mounted(rig, "head -c 2M /dev/urandom > new; sync")
                #expect(try #require(Int(await sh(allocated))) >= empty + 2 << 20)
                #expect(rig.directories() == [])
                for (verb, reason) in [
                    (["commit", rig.device], "power cut"),
                    (["set", rig.device, "--restore-at", "never"], "gone after a boot"),
                ] {
                    try await Dmsnap.refuses(verb, status: 64, saying: ["in memory", reason])
                }
                // What a boot leaves of it. The monitor is quick to put it together again.
                try await sh(
                    """
                    udevadm settle; rm -r /run/dmsnap/stores; dmsetup remove \(rig.path()); losetup -D
                    dmsnap assemble > /dev/null
                    """)
                #expect(try await rig.checksum() == before)
                try await mounted(rig, "test ! -e new; echo new > new")
                try await Dmsnap.must(["discard", rig.device])
                try await rig.deactivate()
                #expect(try await raw(rig) == before)
                try await sh("test -z \"$(ls /run/dmsnap/stores/.armed)\"")
            }
        }

        @Test("A read-only disk is used as any, and not a bit of it changes")
        func readOnly() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device); blockdev --setro \(rig.device)")
                let before = try await raw(rig)
                try await activate(rig)
                try await mounted(rig, "echo evidence > note; sync")
                try await mounted(rig, "grep -qx evidence note")
                try await Dmsnap.refuses(
                    ["commit", rig.device], status: 64, saying: ["read-only", "--setrw"])
                #expect(try await Dmsnap.must(["discard", rig.device]).contains("is what it was"))
                try await rig.deactivate()
                #expect(try await raw(rig) == before)
                // The next loop device of that number would be, too.
                try await sh("blockdev --setrw \(rig.device)")
            }
        }

        @Test("A commit that is killed, and a device that is written beneath")
        func trouble() async throws {
            try await Rig.with(.block, size: 256 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await activate(rig)
                try await mounted(rig, "head -c 90M /dev/urandom > large")
                let shown = try await rig.checksum()
                // In the middle of it, wherever that is.
                for wait in ["0.5", "0.8", "1.2"] {
                    try await sh(
                        """
                        dmsnap commit \(rig.device) > /dev/null 2>&1 & pid=$!
                        sleep \(wait); kill -9 $pid 2> /dev/null || :; wait $pid || :
                        """)
                    #expect(try await rig.checksum() == shown, "after \(wait) s")
                }
                // What is killed while it waits for udev leaves its cookie.
                try await sh("dmsetup udevcomplete_all --yes > /dev/null")
                try await Dmsnap.must(["commit", rig.device])
                #expect(try await raw(rig) == shown)
                try await mounted(rig, "rm large")
                try await sh(
                    """
                    dd if=/dev/urandom of=\(rig.device) bs=1M count=1 seek=1 conv=fsync,notrunc 2> /dev/null
                    dd if=/dev/zero of=\(rig.device) bs=1k count=4 conv=fsync,notrunc 2> /dev/null
                    """)
                try await Dmsnap.refuses(
                    ["commit", rig.device], status: 64, saying: ["wrote to it", "discard"])
                let output = try await Dmsnap.call(["discard", rig.device])
                #expect(output.status == 65 && output.err.contains("NOT what it was"))
            }
        }

        @Test("Before there is no room left the file system is made read-only, and nothing is torn")
        func full() async throws {
            try await Rig.with(.image, size: 80 << 20) { rig in
                try await sh(
                    """
                    mkfs.ext4 -q -F \(rig.device); mkdir -m 700 \(rig.base)
                    truncate -s 120M \(rig.directory)/small; mkfs.ext4 -q -F \(rig.directory)/small
                    mount -o loop \(rig.directory)/small \(rig.base); chmod 700 \(rig.base)
                    mkdir -p /etc/dmsnap; printf '[store]\\nreserve = "64M"\\n' > /etc/dmsnap/dmsnap.toml
                    """)
                let before = try await raw(rig)
                try await activate(rig)
                try await sh(
                    """
                    mount \(rig.path()) \(rig.mountPoint); cd \(rig.mountPoint); echo first > first; sync
                    for n in $(seq 60); do
                        head -c 1M /dev/urandom > file$n 2> /dev/null && sync || break
                        sleep 0.4
                    done
                    """)
                try await eventually("it is read-only", within: 20) {
                    try await sh("findmnt -no OPTIONS \(rig.mountPoint)").hasPrefix("ro")
                }
                try await sh("umount \(rig.mountPoint)")
                #expect(try await rig.status().state == "overlay", "its store has failed")
                try await sh("e2fsck -fn \(rig.path()) > /dev/null")
                try await mounted(rig, "grep -qx first first")
                try await Dmsnap.must(["discard", rig.device])
                #expect(try await raw(rig) == before)
                // Faster than anybody looks: programs get errors, and nothing else is lost.
                func overfill() async throws {
                    try await sh(
                        """
                        mount \(rig.path()) \(rig.mountPoint); cd \(rig.mountPoint); echo first > first; sync
                        head -c 60M /dev/zero | tr '\\0' x > large 2> /dev/null && sync -f large && exit 1
                        cd /; umount \(rig.mountPoint); true
                        """)
                    let full = try await rig.status()
                    #expect(full.state == "overlay" && full.warning?.contains("full") == true)
                    try await sh("e2fsck -fy \(rig.path()) > /dev/null || [ $? -le 12 ]")
                }
                try await overfill()
                try await Dmsnap.must(["discard", rig.device])
                #expect(try await rig.checksum() == before)
                try await overfill()
                let shown = try await rig.checksum()
                let output = try await Dmsnap.call(["commit", rig.device])
                #expect(output.status == 74 && output.err.contains("its store was full"))
                #expect(try await raw(rig) == shown)
                #expect(shown != before)
                try await rig.deactivate()
                try await sh("rm /etc/dmsnap/dmsnap.toml")
            }
        }
    }
}

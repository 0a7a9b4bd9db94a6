import Block
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Mounts {
        @Test("The rule makes the session's directory with its record and store")
        func directory() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                try await rig.mount()
                let session = try #require(try await rig.status().session)
                let directory = FilePath(rig.base).appending(session)
                #expect(session.hasPrefix("loop"))
                #expect(session.contains(/_\d{8}T\d{6}Z$/))
                #expect(try Files.list(directory) == ["session.json", "store"])
                #expect(try FileStatus(directory).permissions == 0o700)
                #expect(try FileStatus(directory.appending("store")).permissions == 0o600)
                // The rule did it, not the monitor in its place.
                let log = try await sh("dmesg | grep -F '\(session): opened'")
                #expect(log.contains("dmsnap: "))
                try await rig.unmount()
            }
        }

        // A program that a rule runs and that waits for the cookie of the device whose event is
        // being handled waits for itself; and the lock of a device's tables may be held for hours.
        @Test("The rule's process touches no table, waits for no cookie and for no lock of tables")
        func ruleTouchesNothing() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let events = "\(rig.directory)/events"
                let helpers = try await sh(
                    """
                    udevadm settle
                    for lock in /run/dmsnap/activation-*.lock; do
                        flock --no-fork $lock sleep 120 > /dev/null 2>&1 & echo $!
                    done
                    udevadm monitor --kernel --property --subsystem-match=block \
                    > \(events) 2>&1 & echo $!
                    """
                ).replacing("\n", with: " ")
                do {
                    try await eventually("all locks are held, and events are seen") {
                        try await sh(
                            """
                            grep -q KERNEL \(events) || exit 0
                            for lock in /run/dmsnap/activation-*.lock; do
                                if flock --nonblock $lock true; then exit 0; fi
                            done
                            echo held
                            """) == "held"
                    }
                    let tables = try await sh(Self.tables)
                    // The monitor would open it itself after five seconds.
                    try await sh("mount \(rig.path()) \(rig.mountPoint)")
                    try await eventually("the session is open", within: 4) {
                        !rig.openSessions().isEmpty
                    }
                    let session = try #require(rig.openSessions().first)
                    #expect(try await sh("dmesg").contains("\(session): opened"))
                    // Its event is over, and with it whatever the rule's process has waited for.
                    try await sh("udevadm settle --timeout=2")
                    #expect(try await sh(Self.tables) == tables)
                    let seen = try await sh("cat \(events)")
                    #expect(seen.contains("SYNTH_ARG_DMSNAP=opened"))
                    // A resume, with or without a new table, has one.
                    #expect(!seen.contains("DM_COOKIE="))
                    #expect(try await sh("dmsetup udevcookies | tail -n +2").isEmpty)
                } catch {
                    try await sh("kill \(helpers)")
                    throw error
                }
                try await sh("kill \(helpers)")
                try await rig.unmount()
            }
        }

        /// Every table, live or not, and who is suspended.
        private static let tables = """
            dmsetup table; dmsetup table --inactive; dmsetup info -c -o name,uuid,attr,events
            """

        @Test("Without a udev rule the monitor opens the session itself, and says so")
        func withoutRule() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await withRule("") {
                    try await rig.activate()
                    try await rig.mount()
                    try await rig.unmount()
                    let log = try await sh("cat /run/dmsnap/monitor.log")
                    #expect(log.contains("no udev rule opened its session"))
                }
            }
        }

        // A program takes a tenth of a second to start here, and every change of tables waits for it.
        @Test("No rule asks a program whose dmsnap's own devices are")
        func ownDevices() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let (program, asked) = ("\(rig.directory)/asked", "\(rig.directory)/devices")
                try await sh(
                    """
                    printf '#!/bin/sh\\necho "$2" >> \(asked); exec \(Dmsnap.program) "$@"\\n' > \(program)
                    chmod 755 \(program); touch \(asked)
                    """)
                let rule = try await sh(
                    "sed 's|[^ \"]*dmsnap device-claimed|\(program) device-claimed|' "
                        + "/usr/lib/udev/rules.d/59-dmsnap.rules")
                try await withRule(rule) {
                    try await rig.activate()
                    try await rig.mounted("echo a > a")
                    try await sh("udevadm settle")
                    #expect(try await !sh("cat \(asked)").contains("/dev/dm-"))
                    try await sh("udevadm trigger --settle \(rig.device)")
                    #expect(try await sh("cat \(asked)").contains(rig.device))
                }
            }
        }

        /// Runs `body` with another rule in the place of ours.
        private func withRule(_ text: String, _ body: () async throws -> Void) async throws {
            let rule = "/etc/udev/rules.d/59-dmsnap.rules"
            try Files.replace(FilePath(rule), with: Array(text.utf8))
            try await sh("udevadm settle; udevadm control --reload")
            do {
                try await body()
            } catch {
                try await sh("rm -f \(rule); udevadm control --reload")
                throw error
            }
            try await sh("rm -f \(rule); udevadm control --reload")
        }

        @Test("A read-only mount that writes nothing leaves no session")
        func readOnly() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                try await rig.mount("ro")
                try await rig.unmount()
                #expect(try await rig.sessions().isEmpty)
            }
        }

        @Test("By configuration, which the monitor reads again, a session without a write is kept")
        func keepEmpty() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let file = "/etc/dmsnap/dmsnap.toml"
                try await rig.activate()
                try await sh("printf '[sessions]\\nkeep-empty = true\\n' > \(file)")
                do {
                    try await eventually("the settings are in force") {
                        try await sh("cat /run/dmsnap/monitor.log").contains("settings have")
                    }
                    let before = try await rig.checksum()
                    try await rig.mount("ro")
                    try await rig.unmount()
                    let session = try #require(try await rig.sessions().first)
                    #expect(session.chunks == 0 && session.complete)
                    try await rig.restore(session)
                    #expect(try await rig.checksum() == before)
                } catch {
                    try await sh("rm \(file)")
                    throw error
                }
                try await sh("rm \(file)")
            }
        }

        @Test("Bind mounts, a second mount and a lazy unmount are one session to the last use")
        func oneSession() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount()
                let session = try #require(try await rig.status().session)
                let (one, two) = ("\(rig.directory)/one", "\(rig.directory)/two")
                try await sh(
                    """
                    mkdir \(one) \(two); mount --bind \(rig.mountPoint) \(one)
                    mount \(rig.path()) \(two); umount \(rig.mountPoint)
                    echo a > \(one)/a; umount \(one)
                    """)
                // A process in the mount keeps it in use after a lazy unmount.
                let holder = try await sh(
                    "sh -c 'cd \(two); exec sleep 60' > /dev/null 2>&1 & echo $!")
                try await eventually("it is inside") {
                    try await sh("readlink /proc/\(holder)/cwd") == two
                }
                try await sh("umount -l \(two)")
                try await Task.sleep(for: .seconds(1))
                #expect(try await rig.status().session == session)
                try await sh("cd /proc/\(holder)/cwd && echo late > late && sync; kill \(holder)")
                try await eventually("the session is closed") {
                    try await rig.status().state == "armed"
                }
                let all = try await rig.sessions()
                #expect(all.map(\.name) == [session])
                try await rig.restore(try #require(all.first))
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("UUID= and LABEL= lead to the origin while it is activated, and back afterwards")
        func links() async throws {
            try await Rig.with(.block) { rig in
                let uuid = "6b1b1f3c-6c5e-4f0e-9d0b-1f1f4e9a7c11"
                try await sh("mkfs.ext4 -q -F -U \(uuid) -L DMSNAPTEST \(rig.device)")
                try await sh("udevadm trigger --settle \(rig.device)")
                let links = ["by-uuid/\(uuid)", "by-label/DMSNAPTEST"]
                func targets() async throws -> [String] {
                    var found: [String] = []
                    for link in links {
                        found.append(try await sh("readlink -f /dev/disk/\(link)"))
                    }
                    return found
                }
                #expect(try await targets() == [rig.device, rig.device])
                try await rig.activate()
                let origin = try await sh("readlink -f \(rig.path())")
                #expect(try await targets() == [origin, origin])
                // An event of the raw device must not take them away.
                try await sh("udevadm trigger --settle \(rig.device)")
                #expect(try await targets() == [origin, origin])
                try await sh("mount UUID=\(uuid) \(rig.mountPoint)")
                try await eventually("the session is open") {
                    try await rig.status().state == "open"
                }
                try await rig.unmount()
                try await rig.deactivate()
                try await sh("udevadm settle")
                #expect(try await targets() == [rig.device, rig.device])
            }
        }
    }
}

import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// A process that dies between suspending a device and resuming it.
    @Suite struct Guard {
        /// The program that suspends as dmsnap does, beside this one.
        private static let suspender =
            ((try? Files.resolve("/proc/self/exe")) ?? "").removingLastComponent()
            .appending("Suspender").string

        /// A linear device with a mounted ext4: what suspending freezes.
        private func withDevice(_ body: (_ name: String, _ mountPoint: String) async throws -> Void)
            async throws
        {
            let name = "guarded device"
            let directory = try await sh("mktemp -d /var/tmp/guard.XXXXXX")
            let loop = try await sh(
                """
                truncate -s 32M \(directory)/disk; mkdir \(directory)/mnt
                losetup -f --show \(directory)/disk
                """)
            let node = "/dev/mapper/guarded\\x20device"
            try await sh(
                """
                dmsetup create '\(name)' --table "0 65536 linear \(loop) 0"
                mkfs.ext4 -q '\(node)'; mount '\(node)' \(directory)/mnt
                """)
            do {
                try await body(name, "\(directory)/mnt")
            } catch {
                Issue.record(error)
            }
            // Whatever the test found: nothing after it is to wait for a suspended device.
            try await sh(
                """
                dmsetup resume '\(name)'; umount \(directory)/mnt; dmsetup remove '\(name)'
                losetup -d \(loop); rm -r \(directory)
                """)
        }

        private func isSuspended(_ name: String) async throws -> Bool {
            try await sh("dmsetup info -c --noheadings -o suspended '\(name)'") == "Suspended"
        }

        private func guards() async throws -> String {
            try await run("pgrep", ["-x", "dmsnap-guard"]).out
        }

        private func isResumed(_ name: String, _ mountPoint: String) async throws {
            try await eventually("\(name) is resumed", within: 5) {
                try await !isSuspended(name)
            }
            try await sh("echo x > \(mountPoint)/file; sync -f \(mountPoint)/file")
            try await eventually("the guard is gone", within: 5) { try await guards().isEmpty }
        }

        @Test(
            "Killed with a device suspended, a process leaves it resumed: alone or with its group",
            arguments: ["die", "kill-group"])
        func killed(way: String) async throws {
            try await withDevice { name, mountPoint in
                let flags = "udevadm info -q property /dev/mapper/guarded*device | grep ^DM_UDEV_D"
                let before = try await run("/bin/sh", ["-c", flags]).out
                // In a session of its own: the group is the test's otherwise.
                let output = try await run("setsid", ["-w", Self.suspender, name, way])
                #expect(output.out == "suspended\n")
                #expect(output.status == 128 + 9)
                try await isResumed(name, mountPoint)
                try await sh("udevadm settle")
                // No rule took the guard's event for a device that it should leave alone.
                let after = try await run("/bin/sh", ["-c", flags]).out
                #expect(after.contains("DISABLE_DISK") == before.contains("DISABLE_DISK"))
                #expect(after.contains("DISABLE_OTHER") == before.contains("DISABLE_OTHER"))
                #expect(Files.exists("/dev/mapper/guarded\\x20device"))
            }
        }

        @Test("A process that waits for the device that it has suspended can be killed")
        func killedWhileWaiting() async throws {
            try await withDevice { name, mountPoint in
                try await sh("echo old > \(mountPoint)/file; sync -f \(mountPoint)/file")
                let log = "\(mountPoint)/../log"
                try await sh(
                    """
                    \(Self.suspender) '\(name)' block /dev/mapper/guarded*device > \(log) &
                    """)
                try await eventually("it waits") {
                    try await run("pgrep", ["-x", "-r", "D", "Suspender"]).status == 0
                }
                #expect(try await isSuspended(name))
                try await sh("pkill -9 -x Suspender")
                try await isResumed(name, mountPoint)
                #expect(try await run("pgrep", ["-x", "Suspender"]).out.isEmpty)
            }
        }

        @Test("What ends under a suspend is resumed by itself, and no guard remains")
        func ended() async throws {
            try await withDevice { name, mountPoint in
                let finished = try await run(Self.suspender, [name, "finish"])
                #expect(finished.out == "resumed\n")
                #expect(try await guards().isEmpty)
                let failed = try await run(Self.suspender, [name, "fail"])
                #expect(failed.status == 1)
                #expect(try await guards().isEmpty)
                #expect(try await !isSuspended(name))
            }
        }

        @Test("Where the guard can't be made nothing is suspended")
        func refused() async throws {
            try await withDevice { name, mountPoint in
                let output = try await run(
                    "prlimit", ["--nofile=6", Self.suspender, name, "finish"])
                #expect(output.status == 1)
                #expect(output.err.contains("guard: Too many open files"))
                #expect(try await !isSuspended(name))
                #expect(try await run(Self.suspender, ["no such", "finish"]).status == 1)
            }
        }
    }
}

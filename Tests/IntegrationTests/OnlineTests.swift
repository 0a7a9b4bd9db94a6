import Testing

extension IntegrationTests {
    /// The kernel's own merge, over a device that is slowed down (dm-delay) so that it can be met half
    /// done.
    @Suite struct OnlineRestores {
        /// A rig whose device lies over the loop device of another.
        private func slowed(_ size: Int, _ body: (Rig) async throws -> Void) async throws {
            try await Rig.with(.block, size: size) { rig in
                let device = try await sh(
                    """
                    table="0 $(blockdev --getsz \(rig.device)) linear \(rig.device) 0"
                    dmsetup create slow --uuid SLOW --table "$table"
                    echo \(rig.device) > \(rig.directory)/under
                    readlink -f /dev/mapper/slow
                    """)
                let slow = Rig(rig, over: device)
                do {
                    try await sh("mkfs.ext4 -q -F \(device)")
                    try await body(slow)
                } catch {
                    Issue.record(error)
                }
                try await sh("umount -R \(rig.mountPoint) 2>/dev/null || true")
                try await delay(slow, milliseconds: 0)
                _ = try await Dmsnap.call(
                    ["deactivate", device, "--passfile", Dmsnap.passfile])
                try await sh("dmsetup remove --retry slow")
            }
        }

        /// How long every write takes from now on.
        private func delay(_ rig: Rig, milliseconds: Int) async throws {
            try await sh(
                """
                under=$(cat \(rig.directory)/under)
                table="0 $(blockdev --getsz $under) delay $under 0 0 $under 0 \(milliseconds)"
                dmsetup suspend --nolockfs slow
                dmsetup load slow --table "$table"
                dmsetup resume slow
                """)
        }

        /// The type of the origin's live table.
        private func target(_ rig: Rig) async throws -> String {
            try await sh("dmsetup table \(quoted(rig.path())) | cut -d' ' -f3")
        }

        private func online(_ session: any NamedSession) -> [String] {
            ["restore", "--session", session.name, "--online"]
        }

        @Test("The device is what it was at once, and in the end; its own session undoes it")
        func whole() async throws {
            try await slowed(32 << 20) { rig in
                let before = try await rig.checksum()
                try await rig.activate(["--chunk-size", "4K"])
                let session = try await rig.mounted("head -c 8M /dev/urandom > f")
                let after = try await rig.checksum()
                try await delay(rig, milliseconds: 700)
                let said = try await Dmsnap.must(online(session))
                #expect(said.contains("can be mounted now"))
                #expect(try await rig.checksum() == before)
                let path = try await rig.path()
                try await Dmsnap.refuses(
                    online(session), status: 75, saying: [path, "% of session \(session.name)"])
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: [path, "wait"])
                let status = try await Dmsnap.must(["status"])
                #expect(status.contains("restoring session \(session.name) online: "))
                #expect(try await target(rig) == "snapshot-merge")
                try await delay(rig, milliseconds: 0)
                try await eventually("the session that undoes it") {
                    rig.directories().count == 2
                }
                #expect(try await target(rig) == "snapshot-origin")
                #expect(try await rig.checksum() == before)
                let undo = try #require(try await rig.sessions().last)
                #expect(undo.complete)
                try await rig.restore(undo)
                #expect(try await rig.checksum() == after)
                try await failing(rig, session, until: before)
                #expect(try await sh("ls -A \(rig.base)/.merging").isEmpty)
                try await rig.deactivate()
                try await Dmsnap.refuses(
                    online(session), status: 64, saying: [rig.device, "activate it first"])
            }
        }

        /// An I/O error stops the merge and is told; mended and assembled, it goes on to its end.
        private func failing(
            _ rig: Rig, _ session: any NamedSession, until before: String
        ) async throws {
            let sessions = rig.directories().count
            try await delay(rig, milliseconds: 700)
            try await Dmsnap.must(online(session))
            try await sh(
                """
                table="$(cat \(rig.directory)/under) 0 0 600 1 error_writes"
                dmsetup suspend --nolockfs slow
                dmsetup load slow --table "0 $(blockdev --getsz /dev/mapper/slow) flakey $table"
                dmsetup resume slow
                """)
            try await eventually("the kernel stops") {
                try await sh("dmsetup status \(rig.path())").contains("Merge failed")
            }
            #expect(try await rig.checksum() == before)
            try await delay(rig, milliseconds: 0)
            let status = try await Dmsnap.must(["status"])
            #expect(status.contains("restoring session \(session.name) online stopped"))
            try await Dmsnap.must(["assemble", rig.device])
            try await eventually("both parts of what undoes it") {
                rig.directories().count == sessions + 2
            }
            #expect(try await rig.checksum() == before)
        }

        @Test("Mounted and written to meanwhile, with the monitor killed: nothing is lost")
        func mounted() async throws {
            try await slowed(48 << 20) { rig in
                try await sh(
                    """
                    mount \(rig.device) \(rig.mountPoint)
                    head -c 8M /dev/urandom > \(rig.mountPoint)/kept
                    sha256sum < \(rig.mountPoint)/kept > \(rig.directory)/kept
                    umount \(rig.mountPoint)
                    """)
                try await rig.activate(["--chunk-size", "4K"])
                let session = try await rig.mounted("head -c 8M /dev/urandom > kept; echo x > x")
                let after = try await rig.checksum()
                try await delay(rig, milliseconds: 700)
                try await Dmsnap.must(online(session))
                try await rig.mount()
                // Large requests, over what is back, what isn't, and what never changed.
                try await sh(
                    """
                    cd \(rig.mountPoint)
                    pkill -KILL -x dmsnap
                    sha256sum < kept | cmp - \(rig.directory)/kept
                    test ! -e x
                    echo meanwhile > meanwhile
                    """)
                #expect(try await target(rig) == "snapshot-merge")
                try await delay(rig, milliseconds: 0)
                try await sh(
                    """
                    cd \(rig.mountPoint)
                    dd if=/dev/urandom of=kept bs=1M count=6 conv=notrunc oflag=direct status=none
                    dd if=/dev/urandom of=new bs=1M count=6 oflag=direct status=none
                    sha256sum kept new > \(rig.directory)/written
                    """)
                // Nobody has ended it, though all is back; the next monitor does, under the mount.
                #expect(try await target(rig) == "snapshot-merge")
                try await rig.activate()
                try await eventually("the origin's own table") {
                    try await target(rig) == "snapshot-origin"
                }
                try await rig.unmount()
                try await sh(
                    """
                    fsck.ext4 -fn \(rig.path()) > /dev/null
                    mount -o ro \(rig.path()) \(rig.mountPoint); cd \(rig.mountPoint)
                    sha256sum --status -c \(rig.directory)/written; grep -q meanwhile meanwhile
                    cd /; umount \(rig.mountPoint)
                    """)
                // One store, and so one session, has both.
                let shared = try #require(try await rig.sessions().dropFirst().first)
                let shown = try await Dmsnap.must(["show", shared.name])
                #expect(shown.contains(session.name) && shown.contains("a mount"))
                try await eventually("the session is closed") { rig.openSessions().isEmpty }
                try await rig.restore(shared)
                #expect(try await rig.checksum() == after)
            }
        }
    }
}

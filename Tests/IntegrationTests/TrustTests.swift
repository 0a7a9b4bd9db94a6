import Testing

extension IntegrationTests {
    /// Stores that are taken away, looked into, or held: nothing is lost without a word.
    @Suite struct Trust {
        private func monitorLog() async throws -> String {
            try await sh("cat /run/dmsnap/monitor.log")
        }

        /// The snapshot's own device of the only activation.
        private func snapshot() async throws -> String {
            try await sh("ls -d /dev/mapper/dmsnapcow-*")
        }

        @Test(
            "An open session's directory that is deleted is told of at once, and is a gap afterwards"
        )
        func deleted() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.mounted("echo x > x")
                try await rig.mount()
                let name = try #require(try await rig.status().session)
                try await sh("echo y > \(rig.mountPoint)/y; sync; rm -rf \(rig.base)/\(name)")
                try await eventually("it is told") {
                    try await monitorLog().contains("was deleted")
                }
                #expect(try await rig.status().state == "invalid")
                try await sh("umount \(rig.mountPoint)")
                try await eventually("the next store is armed") {
                    try await rig.status().state == "armed"
                }
                let lost = try #require(try await rig.sessions().last)
                #expect(lost.name == name && lost.state == "invalid" && !lost.complete)
                #expect(try await !monitorLog().contains("without a write was dropped"))
                try await Dmsnap.refuses(
                    ["restore", "--session", first.name], status: 65, saying: [name])
                try await Dmsnap.refuses(
                    ["restore", "--session", first.name, "--accept-writes"], status: 65,
                    saying: [name])
                // And from then on all is well.
                let before = try await rig.checksum()
                let next = try await rig.mounted("echo z > z")
                try await rig.restore(next)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("Nobody can write into a store through the snapshot's own device, whatever he tries")
        func readOnly() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount()
                try await sh("head -c 4M /dev/urandom > \(rig.mountPoint)/f; sync")
                let node = try await snapshot()
                #expect(try await sh("blockdev --getro \(node)") == "1")
                #expect(
                    try await sh(
                        """
                        blockdev --setrw \(node) 2> /dev/null
                        dd if=/dev/zero of=\(node) bs=4096 count=1 conv=notrunc oflag=direct \
                        2> /dev/null && echo written
                        e2fsck -fy \(node) > /dev/null 2>&1 && echo checked
                        mkdir -p \(rig.directory)/look
                        # mount(8) then tries it read-only, by itself.
                        if mount -o rw \(node) \(rig.directory)/look 2> /dev/null; then
                            touch \(rig.directory)/look/x 2> /dev/null && echo mounted
                            umount \(rig.directory)/look
                        fi
                        """) == "")
                // To look is allowed.
                try await sh(
                    """
                    mount -o ro,noload \(node) \(rig.directory)/look
                    test ! -e \(rig.directory)/look/f; umount \(rig.directory)/look
                    """)
                try await rig.unmount()
                let session = try #require(try await rig.sessions().last)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("While the snapshot's own device is held open a session goes on, said; then it ends")
        func held() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount()
                try await sh("echo x > \(rig.mountPoint)/x")
                let node = try await snapshot()
                let holder = try await sh("sleep 600 < \(node) > /dev/null 2>&1 & echo $!")
                try await sh("umount \(rig.mountPoint)")
                try await eventually("it is told") {
                    try await Dmsnap.must(["status"]).contains("until it lets go")
                }
                #expect(try await rig.status().state == "open")
                try await sh("kill \(holder)")
                try await eventually("the session ends") {
                    try await rig.status().state == "armed"
                }
                let session = try #require(try await rig.sessions().last)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test(
            "With the sessions' directory read-only, deactivating is refused before anything is done"
        )
        func readOnlySessions() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let session = try await rig.mounted("echo x > x")
                try await rig.archived(session)
                let tables = try await sh("dmsetup table")
                try await sh("mount --bind \(rig.base) \(rig.base)")
                try await sh("mount -o remount,bind,ro \(rig.base)")
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: [rig.base, "Read-only", "remount,rw"])
                #expect(try await sh("dmsetup table") == tables)
                #expect(try await rig.status().state == "armed")
                try await sh("umount \(rig.base)")
                try await rig.deactivate()
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("touch, and opening to write without writing, break no chain")
        func opened() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(quoted(rig.device))")
                try await rig.activate()
                let session = try await rig.mounted("echo x > x")
                try await sh("touch \(rig.file); exec 9<> \(rig.file); exec 9>&-")
                // Time for the monitor to have seen it.
                try await rig.mounted("echo y > y")
                #expect(try await !monitorLog().contains("--accept-writes"))
                try await rig.restore(session)
            }
        }

        @Test("Written past the store where nobody looks, a device is said NOT to be what it was")
        func proof() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                try await rig.mount()
                let name = try #require(try await rig.status().session)
                // Through another node, which the monitor doesn't watch, and over all free space.
                try await sh(
                    """
                    echo x > \(rig.mountPoint)/x
                    mknod \(rig.directory)/other b $(stat -L -c '0x%t 0x%T' \(rig.device))
                    dd if=/dev/urandom of=\(rig.directory)/other bs=1M seek=40 count=12 \
                    oflag=direct conv=notrunc status=none
                    umount \(rig.mountPoint)
                    """)
                try await eventually("the session is closed") {
                    try await rig.status().state == "armed"
                }
                try await Dmsnap.refuses(
                    ["restore", "--session", name], status: 65, saying: ["NOT what it was"])
            }
        }
    }
}

import Testing

extension IntegrationTests {
    @Suite struct OutOfBand {
        /// Activates, makes one session, does `harm`, and expects it told and the chain broken.
        private func isSeen(_ kind: DeviceKind, _ harm: (Rig) async throws -> Void) async throws {
            try await Rig.with(kind) { rig in
                try await sh("mkfs.ext4 -q -F \(quoted(rig.device))")
                try await rig.activate()
                let first = try await rig.checksum()
                let session = try await rig.mounted("echo x > x")
                try await harm(rig)
                try await eventually("status warns") {
                    try await Dmsnap.must(["status"]).contains("warning")
                }
                let log = try await sh("cat /run/dmsnap/monitor.log")
                #expect(log.contains(rig.device))
                #expect(log.contains("--accept-writes"))
                try await rig.mounted("echo y > y")
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name], status: 65, saying: ["--accept-writes"])
                // The mounts after it have a chain of their own, and restore.
                let later = try #require(try await rig.sessions().last)
                try await rig.restore(later)
                _ = first
            }
        }

        @Test("A write to the image file itself is told at once, and breaks the chain")
        func imageFile() async throws {
            try await isSeen(.image) { rig in
                try await sh(
                    """
                    printf harm | dd of=\(rig.file) bs=1 seek=40000000 conv=notrunc status=none
                    """)
            }
        }

        @Test("A second loop device on the image is told at once, and breaks the chain")
        func secondLoop() async throws {
            try await isSeen(.image) { rig in
                let loop = try await sh("losetup -f --show \(rig.file)")
                try await eventually("status warns") {
                    try await Dmsnap.must(["status"]).contains("attached to \(loop)")
                }
                try await sh("losetup -d \(loop)")
            }
        }

        @Test("A write to the raw device is told at once, and breaks the chain")
        func rawDevice() async throws {
            try await isSeen(.block) { rig in
                try await sh(
                    """
                    printf harm | dd of=\(rig.device) bs=1 seek=40000000 conv=notrunc,fsync \
                    status=none
                    """)
            }
        }

        @Test("A device that was mounted while it was not activated starts a new chain")
        func mountedBetween() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let old = try await rig.mounted("echo x > x")
                try await rig.deactivate()
                try await sh(
                    """
                    mount \(rig.device) \(rig.mountPoint); echo y > \(rig.mountPoint)/y
                    umount \(rig.mountPoint)
                    """)
                try await rig.activate()
                let before = try await rig.checksum()
                let new = try await rig.mounted("echo z > z")
                try await Dmsnap.refuses(
                    ["restore", "--session", old.name], status: 65, saying: ["--accept-writes"])
                try await rig.restore(new)
                #expect(try await rig.checksum() == before)
            }
        }
    }

    @Suite struct StoreTrouble {
        @Test("A full store's session is invalid, said once; the device and its next mount go on")
        func full() async throws {
            try await Rig.with(.image, size: 64 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                // A file system for the sessions that can't hold what will be overwritten.
                try await sh(
                    """
                    truncate -s 24M \(rig.directory)/small
                    mkfs.ext4 -q -F \(rig.directory)/small
                    mkdir -m 700 \(rig.base); mount -o loop \(rig.directory)/small \(rig.base)
                    chmod 700 \(rig.base)
                    """)
                try await rig.activate(["--chunk-size", "4K"])
                try await rig.mount()
                let name = try #require(try await rig.status().session)
                try await sh("head -c 18M /dev/urandom > \(rig.mountPoint)/f; sync")
                try await eventually("it warns") {
                    try await sh("cat /run/dmsnap/monitor.log").contains("% full")
                }
                try await sh("head -c 20M /dev/urandom > \(rig.mountPoint)/g; sync")
                try await eventually("the session is invalid") {
                    try await rig.status().state == "invalid"
                }
                try await sh("echo goes on > \(rig.mountPoint)/g; umount \(rig.mountPoint)")
                try await eventually("a new store is armed") {
                    try await rig.status().state == "armed"
                }
                let log = try await sh("cat /run/dmsnap/monitor.log")
                #expect(log.components(of: "its store failed or is full") == 1)
                let session = try #require(try await rig.sessions().first)
                #expect(session.name == name)
                #expect(session.state == "invalid" && !session.complete)
                try await Dmsnap.refuses(
                    ["restore", "--session", name], status: 65, saying: [name, "can't be restored"])
                try await rig.deactivate()
                try await sh("umount \(rig.base)")
            }
        }
    }
}

extension String {
    fileprivate func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: text) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}

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
        /// What the sessions are on; of each so much is free in the beginning.
        enum Sessions: String, CaseIterable {
            case ext4, xfs, btrfs, tmpfs

            func mount(_ rig: Rig, freeMegabytes free: Int) async throws {
                let file = "\(rig.directory)/small"
                let (make, options) =
                    switch self {
                    case .ext4: ("mkfs.ext4 -q -m 0 -F \(file)", "-o loop \(file)")
                    case .xfs: ("mkfs.xfs -q \(file)", "-o loop \(file)")
                    case .btrfs: ("mkfs.btrfs -q \(file)", "-o loop \(file)")
                    case .tmpfs: ("true", "-t tmpfs -o size=400M sessions")
                    }
                try await sh(
                    """
                    truncate -s 400M \(file); \(make)
                    mkdir -m 700 \(rig.base); mount \(options) \(rig.base); chmod 700 \(rig.base)
                    free=$(($(stat -f -c '%a * %S' \(rig.base)) / 1048576))
                    fallocate -l $((free - \(free)))M \(rig.base)/others
                    """)
            }
        }

        /// How often the monitor has said so, also in other tests.
        private func said(_ words: String) async throws -> Int {
            try await sh("cat /run/dmsnap/monitor.log 2>/dev/null || :").components(of: words)
        }

        private static let configuration = "/etc/dmsnap/dmsnap.toml"

        private func configure(_ lines: String...) async throws {
            try await sh(
                """
                mkdir -p /etc/dmsnap
                printf '%s\\n' \(lines.map(quoted).joined(separator: " ")) > \(Self.configuration)
                """)
        }

        @Test(
            "A full store's session is invalid, said once; the device and its next mount go on",
            arguments: Sessions.allCases)
        func full(sessions: Sessions) async throws {
            // Nothing is left to others, so that it does get full; and no session is given up for it.
            try await configure("[store]", "reserve = \"0%\"", "[retention]", "min-free = \"0%\"")
            try await Rig.with(.image, size: 64 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let said = try await said("its store failed or is full")
                try await sessions.mount(rig, freeMegabytes: 24)
                try await rig.activate(["--chunk-size", "4K"])
                let whole = try await rig.mounted("echo x > x")
                try await rig.mount()
                let name = try #require(try await rig.status().session)
                try await sh(
                    "head -c 40M /dev/urandom > \(rig.mountPoint)/f; sync -f \(rig.mountPoint)")
                try await eventually("the session is invalid") {
                    try await rig.status().state == "invalid"
                }
                // What it took is there again, for others, while the mount goes on.
                try await eventually("the store is given up") {
                    try await sh("stat -c %s \(rig.base)/\(name)/store") == "0"
                }
                try await sh("echo goes on > \(rig.mountPoint)/g; umount \(rig.mountPoint)")
                try await eventually("a new store is armed") {
                    try await rig.status().state == "armed"
                }
                #expect(try await self.said("its store failed or is full") == said + 1)
                let session = try #require(try await rig.sessions().last)
                #expect(session.name == name)
                #expect(session.state == "invalid" && !session.complete)
                try await Dmsnap.refuses(
                    ["restore", "--session", name], status: 65, saying: [name, "can't be restored"])
                // A gap, which is named.
                try await Dmsnap.refuses(
                    ["restore", "--session", whole.name], status: 65, saying: [name])
                let after = try await rig.checksum()
                let next = try await rig.mounted("rm f g; echo y > y")
                try await rig.restore(next)
                #expect(try await rig.checksum() == after)
            }
            try await sh("rm \(Self.configuration)")
        }

        @Test("With too little room nothing more is armed, and it is said; with room again it is")
        func shortage() async throws {
            // Else the monitor would make room.
            try await configure("[retention]", "min-free = \"0%\"")
            try await Rig.with(.image, size: 64 << 20) { rig in
                // What is overwritten, and so kept, can't be compressed.
                try await sh(
                    "head -c 64M /dev/urandom > \(rig.device); mkfs.ext4 -q -F -E nodiscard \(rig.device)"
                )
                // A twentieth, which is left to others, and a little.
                try await Sessions.ext4.mount(rig, freeMegabytes: 22)
                try await rig.activate(["--chunk-size", "4K"])
                try await rig.mounted("head -c 8M /dev/urandom > a")
                try await eventually("nothing is captured") {
                    try await rig.status().captured == false
                }
                #expect(try await Dmsnap.must(["status"]).contains("store.reserve"))
                // A mount that writes nothing is no gap.
                let before = rig.directories()
                try await sh("mount -o ro \(rig.path()) \(rig.mountPoint)")
                try await eventually("it has a session") { rig.directories() != before }
                try await sh("umount \(rig.mountPoint)")
                try await eventually("it is dropped") { rig.directories() == before }

                try await sh(
                    "mount \(rig.path()) \(rig.mountPoint); echo lost > \(rig.mountPoint)/x")
                try await eventually("it is told of as lost") {
                    try await rig.sessions().last?.state == "invalid"
                }
                try await sh("umount \(rig.mountPoint)")
                try await eventually("its session is over") {
                    try await rig.status().session == nil
                }
                for words in ["its next mount won't be captured", "nothing of what is written"] {
                    #expect(try await said(words) == 1)
                }
                try await sh("rm \(rig.base)/others")
                try await eventually("it is captured again") {
                    try await rig.status().captured == true
                }
                let middle = try await rig.checksum()
                let next = try await rig.mounted("echo x > x")
                try await rig.restore(next)
                #expect(try await rig.checksum() == middle)
            }
            try await sh("rm \(Self.configuration)")
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

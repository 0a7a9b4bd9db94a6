import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// What becomes of a session after it has closed.
    @Suite struct Archives {
        @Test("A closed session is archived by itself, checked, and restored from that")
        func byItself() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                // What is overwritten: noise, zeros, text.
                try await sh(
                    """
                    mount \(rig.device) \(rig.mountPoint); cd \(rig.mountPoint)
                    head -c 3M /dev/urandom > a; head -c 4M /dev/zero > b; yes text | head -c 4M > c
                    cd /; umount \(rig.mountPoint)
                    """)
                try await rig.activate(["--chunk-size", "4K"])
                let before = try await rig.checksum()
                let session = try await rig.mounted(
                    "for f in a b c; do head -c 3M /dev/urandom | dd of=$f conv=notrunc bs=1M; done"
                )
                try await rig.archived(session)
                let archived = try #require(try await rig.sessions().first)
                #expect(archived.state == "archived" && archived.complete)
                // Zeros cost nothing, text little.
                let size = try FileStatus(FilePath(session.directory).appending("chunks.dmsz")).size
                #expect(size.bytes < 5 << 20 && archived.storedBytes < 5 << 20)
                try await Dmsnap.must(["verify", session.name])

                // One bit of the noise, which is stored as it was.
                let archive = "\(session.directory)/chunks.dmsz"
                try await flip(archive, at: 1_500_000)
                let after = try await rig.checksum()
                try await Dmsnap.refuses(
                    ["verify", session.name], status: 65, saying: [session.name, "chunk"])
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name], status: 65,
                    saying: ["chunk", "--skip-damaged"])
                #expect(try await rig.checksum() == after)
                // The rest, and what is not: the chunks of one block.
                let rest = try await Dmsnap.call(
                    ["restore", "--session", session.name, "--skip-damaged"])
                #expect(rest.status == 65)
                #expect(rest.out.contains("NOT"))
                let lost = rest.err.matches(of: /not restored: bytes (\d+) to (\d+)/)
                let bytes = lost.reduce(0) { $0 + (Int($1.2) ?? 0) + 1 - (Int($1.1) ?? 0) }
                #expect(bytes > 0 && bytes <= 256 << 10)
                #expect(try await rig.checksum() != before)
                // With the bit put right again all of it is there.
                try await flip(archive, at: 1_500_000)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        private func flip(_ path: String, at offset: UInt64) async throws {
            let file = try OwnedDescriptor.open(FilePath(path), .readWrite)
            let byte = try file.read(count: 1, at: offset)[0]
            try file.write([byte ^ 1], at: offset)
        }

        @Test(
            "Killed while it makes an archive, the next monitor makes it, and status tells how far")
        func killed() async throws {
            try await Rig.with(.image, size: 64 << 20) { rig in
                try await sh(
                    """
                    head -c 64M /dev/urandom > \(rig.device)
                    mkfs.ext4 -q -F -E nodiscard \(rig.device)
                    """)
                try await rig.activate(["--chunk-size", "4K"])
                let before = try await rig.checksum()
                let session = try await rig.mounted("head -c 44M /dev/urandom > a")
                for _ in 0..<2 {
                    try await eventually("the archive is begun") {
                        Files.exists("/run/dmsnap/archiving.json")
                    }
                    try await sh("pkill -STOP -x dmsnap")
                    let seen = try #require(try await rig.status().archiving)
                    #expect(seen.session == session.name)
                    #expect(seen.bytesTotal > 40 << 20 && seen.bytesDone < seen.bytesTotal)
                    try await sh("pkill -KILL -x dmsnap")
                    // One that is still dying counts as running.
                    try await eventually("its lock is free") {
                        try await run("flock", ["-n", "/run/dmsnap/monitor.lock", "true"]).status
                            == 0
                    }
                    #expect(Files.exists(FilePath(session.directory).appending("store")))
                    try await rig.activate()
                }
                try await rig.archived(session)
                #expect(try await rig.status().archiving == nil)
                let files = try await sh("ls \(session.directory)")
                #expect(files == "chunks.dmsz\nsession.json")
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
                try await sh("dmsetup udevcomplete_all --yes > /dev/null")
            }
        }

        @Test("Anybody restores a file of their own from an archive of their own")
        func ordinaryUser() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let session = try await rig.mounted("head -c 2M /dev/urandom > a")
                try await rig.archived(session)
                try await rig.deactivate()
                let home = "\(rig.directory)/home"
                try await sh(
                    """
                    mkdir \(home); cp \(session.directory)/chunks.dmsz \(rig.file) \(home)
                    chown -R nobody \(home); chmod 755 \(rig.directory)
                    """)
                func asNobody(_ words: String) async throws -> Output {
                    try await run(
                        "env",
                        [
                            "-C", home, "setpriv", "--reuid", "nobody", "--clear-groups",
                            Dmsnap.program,
                        ]
                            + words.split(separator: " ").map(String.init))
                }
                let archive = "\(home)/chunks.dmsz"
                let image = "\(home)/disk.img"
                #expect(try await asNobody("verify \(archive)").status == 0)
                // Not without a path, and not root's own.
                #expect(try await asNobody("restore \(session.name)").status == 77)
                #expect(try await asNobody("restore \(session.directory)").status != 0)
                // Something wrote to it since.
                try await sh("cp \(image) \(home)/other; echo x | dd conv=notrunc of=\(home)/other")
                try await sh("chown nobody \(home)/other")
                let refused = try await asNobody("restore \(archive) --device \(home)/other")
                #expect(refused.status == 65)
                #expect(refused.err.contains("--accept-writes"))

                // In use, however root has it.
                let restore = "restore chunks.dmsz --device disk.img"
                let unused = try await sh("xxh128sum < \(image)")
                for (use, end) in [
                    ("mount -o loop,ro \(image) \(rig.mountPoint)", "umount \(rig.mountPoint)"),
                    ("losetup -f \(image)", "losetup -D"),
                    (
                        "dmsnap activate \(image) --passfile \(Dmsnap.passfile)",
                        "dmsnap deactivate \(image) --passfile \(Dmsnap.passfile)"
                    ),
                ] {
                    try await sh(use)
                    let refused = try await asNobody(restore)
                    #expect(refused.status == 75, "\(use): \(refused.err)")
                    try await sh(end)
                }
                #expect(try await sh("xxh128sum < \(image)") == unused)

                let restored = try await asNobody(restore)
                #expect(restored.status == 0, "\(restored.err)")
                #expect(try await sh("xxh128sum < \(image)").prefix(32) == before)
            }
        }
    }
}

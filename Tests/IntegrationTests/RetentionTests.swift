import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// Sessions that go: by themselves, by hand, and with whoever deletes them killed.
    @Suite struct Retention {
        private static let configuration = "/etc/dmsnap/dmsnap.toml"

        private func said(_ words: String) async throws -> Bool {
            try await sh("cat /run/dmsnap/monitor.log 2>/dev/null || :").contains(words)
        }

        private func names(_ rig: Rig) async throws -> [String] {
            try await rig.sessions().map(\.name)
        }

        @Test(
            "With too little room the monitor deletes the oldest session that isn't pinned, and says so"
        )
        func byItself() async throws {
            try await Rig.with(.image, size: 48 << 20) { rig in
                // What is overwritten can't be compressed.
                try await sh(
                    """
                    head -c 48M /dev/urandom > \(rig.device); mkfs.ext4 -q -F -E nodiscard \(rig.device)
                    truncate -s 120M \(rig.directory)/small
                    mkfs.ext4 -q -m 0 -F \(rig.directory)/small
                    mkdir -m 700 \(rig.base); mount -o loop \(rig.directory)/small \(rig.base)
                    chmod 700 \(rig.base)
                    """)
                try await rig.activate()
                var made: [String] = []
                var before: [String: String] = [:]
                for _ in 0..<6 {
                    let checksum = try await rig.checksum()
                    let known = Set(rig.directories())
                    try await rig.mount()
                    try await sh(
                        "head -c 16M /dev/urandom > \(rig.mountPoint)/f; sync -f \(rig.mountPoint)")
                    try await rig.unmount()
                    let name = try #require(rig.directories().first { !known.contains($0) })
                    made.append(name)
                    before[name] = checksum
                    try await eventually("it is archived") {
                        !Files.exists(FilePath(rig.base).appending(name).appending("store"))
                    }
                    if !Files.exists(FilePath(rig.base).appending(made[0])) { break }
                }
                try await eventually("the oldest is gone", within: 90) {
                    try await names(rig) != made
                }
                let left = try await names(rig)
                // From the oldest on, and no other.
                #expect(!left.isEmpty && left == Array(made.suffix(left.count)))
                #expect(try await said("\(made[0]): deleted, since less than min-free is free"))
                // A file system of its own has lost+found besides.
                let there = Set(rig.directories()).intersection(made)
                #expect(there == Set(left))
                let oldest = left[0]
                // What it overwrites can't be kept in so little room, and with a store that is lost every session
                // would be: nothing is written. Deactivated nothing is kept, and all of it goes back.
                let now = try await rig.checksum()
                let refused = try await Dmsnap.call(["restore", "--session", oldest])
                #expect(refused.status == 74, "\(refused.out)\(refused.err)")
                #expect(refused.err.contains("store.reserve"), "\(refused.err)")
                #expect(try await rig.checksum() == now)
                try await rig.deactivate()
                #expect(
                    try await Dmsnap.must(["restore", "--session", oldest]).contains(
                        "It is what it was"))
                #expect(try await rig.checksum() == before[oldest])
                try await sh("umount \(rig.base)")
            }
        }

        @Test(
            "One in the middle is deleted, and the oldest restores to the exact bytes",
            arguments: [("mkfs.ext4 -q -F", 48), ("mkfs.xfs --unsupported -q -f", 96)]
                as [(String, Int)])
        func middle(make: String, megabytes: Int) async throws {
            try await Rig.with(.block, size: megabytes << 20) { rig in
                try await sh("\(make) \(rig.device)")
                try await rig.activate(["--chunk-size", "4K"])
                var checksums: [String] = []
                var sessions: [MadeSession] = []
                for number in 0..<3 {
                    checksums.append(try await rig.checksum())
                    sessions.append(
                        try await rig.mounted(
                            """
                            head -c 3M /dev/urandom > \(number); head -c 1M /dev/urandom > all
                            [ \(number) = 0 ] || rm -f \(number - 1)
                            """))
                }
                // What is just archived is in use.
                for session in sessions { try await rig.archived(session) }
                try await Dmsnap.must(["label", sessions[0].name, "the beginning"])
                try await Dmsnap.must(["pin", "the beginning"])
                try await Dmsnap.refuses(
                    ["delete", "the beginning"], status: 64, saying: ["unpin", sessions[0].name])
                let out = try await Dmsnap.must(["delete", sessions[1].name])
                #expect(out.contains(sessions[0].name))
                #expect(!Files.exists(FilePath(sessions[1].directory)))
                #expect(try await names(rig) == [sessions[0].name, sessions[2].name])
                try await Dmsnap.must(["verify", "the beginning"])
                try await Dmsnap.must(["restore", "--session", "the beginning"])
                #expect(try await rig.checksum() == checksums[0])
                // The one that undoes that is the latest.
                try await Dmsnap.must(["restore", rig.device])
                try await rig.restore(sessions[2])
                #expect(try await rig.checksum() == checksums[2])
                try await rig.deactivate()
                try await Dmsnap.must(["restore", "--session", sessions[0].name])
                #expect(try await rig.checksum() == checksums[0])
            }
        }

        @Test("Pruning that is killed is gone on with, and every session that is left restores")
        func killed() async throws {
            try await Rig.with(.image, size: 48 << 20) { rig in
                try await sh(
                    """
                    head -c 48M /dev/urandom > \(rig.device)
                    mkfs.ext4 -q -F -E nodiscard \(rig.device)
                    """)
                try await rig.activate(["--chunk-size", "4K"])
                var checksums: [String: String] = [:]
                var sessions: [MadeSession] = []
                for number in 0..<5 {
                    let checksum = try await rig.checksum()
                    sessions.append(
                        try await rig.mounted("head -c 8M /dev/urandom > f\(number % 3)"))
                    checksums[sessions[number].name] = checksum
                }
                for session in sessions { try await rig.archived(session) }
                try await Dmsnap.must(["pin", sessions[1].name])
                // Only from here on, and not for the monitor that runs.
                try await sh(
                    """
                    mkdir -p /etc/dmsnap
                    printf '[retention]\\nkeep-last = 1\\n' > \(Self.configuration)
                    """)
                for delay in ["0.3", "0.5", "0.7", "1.0", "1.4"] {
                    _ = try await run(
                        "/bin/sh",
                        ["-c", "timeout -s KILL \(delay) \(Dmsnap.program) prune > /dev/null 2>&1"])
                    let left = try await names(rig)
                    #expect(left.contains(sessions[1].name) && left.contains(sessions[4].name))
                    try await Dmsnap.must(["verify", sessions[1].name])
                }
                try await Dmsnap.must(["prune", rig.device])
                #expect(try await names(rig) == [sessions[1].name, sessions[4].name])
                #expect(try await sh("ls -A \(rig.base)/.deleted").isEmpty)
                for index in [4, 1] {
                    try await rig.restore(sessions[index])
                    #expect(try await rig.checksum() == checksums[sessions[index].name])
                }
            }
            try await sh("rm -f \(Self.configuration)")
        }

        @Test("On a terminal a restore says what it will do, and asks")
        func asks() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let session = try await rig.mounted("head -c 1M /dev/urandom > a")
                let after = try await rig.checksum()
                func answering(_ typed: String, _ option: String = "") async throws -> Output {
                    try await run(
                        "/bin/sh",
                        [
                            "-c",
                            """
                            (sleep 1; printf '\(typed)'; sleep 1) |
                                script -qec '\(Dmsnap.program) restore \(rig.device) \(option)' /dev/null
                            """,
                        ])
                }
                for no in ["n\\n", "\\n", "\\004"] {
                    let refused = try await answering(no)
                    #expect(refused.status == 74, "\(no): \(refused.out)")
                    #expect(refused.out.contains(session.name) && refused.out.contains("[y/N]"))
                    #expect(try await rig.checksum() == after)
                }
                let agreed = try await answering("y\\n")
                #expect(agreed.status == 0, "\(agreed.out)")
                #expect(try await rig.checksum() == before)
                let undone = try await answering("", "--yes")
                #expect(undone.status == 0 && !undone.out.contains("[y/N]"))
                #expect(try await rig.checksum() == after)
            }
        }
    }
}

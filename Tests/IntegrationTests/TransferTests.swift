import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// Sessions for other machines: sent, cut off and gone on with, restored there; and a command that
    /// copies archives away.
    @Suite struct Transfers {
        /// A machine with directories of its own, as far as dmsnap goes: a script that runs a command there.
        private func otherMachine(_ rig: Rig) async throws -> String {
            let script = "\(rig.directory)/other"
            try await sh(
                """
                cd \(rig.directory); mkdir -p -m 700 far far/snapshot far/state far/run
                cat > other <<'END'
                #!/bin/sh
                cd \(rig.directory)/far
                exec unshare -m sh -c 'mount --bind snapshot /snapshot; mount --bind state /var/lib/dmsnap
                    mount --bind run /run/dmsnap; cd /; exec "$@"' sh "$@"
                END
                chmod 700 other
                """)
            return script
        }

        /// Three sessions, and what the device was before each and is after the last.
        private func chain(
            _ rig: Rig, make: String, megabytes: Int
        ) async throws -> (sessions: [MadeSession], checksums: [String]) {
            // What is overwritten can't be compressed: the archives have several pieces. btrfs overwrites
            // what nobody uses any more.
            if make.contains("btrfs") {
                try await sh("head -c 128M /dev/urandom > \(rig.device)")
            }
            try await sh("\(make) \(rig.device)")
            try await rig.activate(["--chunk-size", "4K"])
            try await rig.mounted("head -c \(megabytes)M /dev/urandom > noise")
            var sessions: [MadeSession] = []
            var checksums = [try await rig.checksum()]
            for number in 0..<3 {
                sessions.append(
                    try await rig.mounted(
                        """
                        dd if=/dev/urandom of=noise bs=1M count=2 seek=\(number) conv=notrunc 2> /dev/null
                        echo \(number) > number
                        """))
                checksums.append(try await rig.checksum())
            }
            for session in sessions { try await rig.archived(session) }
            return (sessions, checksums)
        }

        @Test(
            "A chain that is cut off goes on over ssh, and restores another machine's copy",
            arguments: [
                ("mkfs.ext4 -q -F", 48), ("mkfs.xfs --unsupported -q -f", 96),
                ("mkfs.btrfs -q -f -K", 128),
                ("mkfs.vfat", 48),
            ] as [(String, Int)])
        func chain(make: String, size: Int) async throws {
            try await Rig.with(.block, size: size << 20) { rig in
                let (sessions, checksums) = try await chain(rig, make: make, megabytes: 8)
                let other = try await otherMachine(rig)
                let send = "dmsnap send \(sessions[2].name) --since \(sessions[0].name)"
                let copy = "\(rig.directory)/copy.img"
                let point = try await sh(
                    """
                    cp --sparse=always \(rig.file) \(copy)
                    \(send) 2> /dev/null | head -c 3800000 | \(other) dmsnap receive > said 2> why &&
                        exit 1 || [ $? = 74 ]
                    grep -q 'cut before its end' why; tail -n 1 said; rm said why
                    """)
                #expect(point.split(separator: ":").count == 3)
                let printed = try await sh(
                    """
                    cd \(rig.directory); mkdir -p -m 700 /root/.ssh; ip link set lo up
                    dropbearkey -t ed25519 -f host > /dev/null
                    dropbearkey -t ed25519 -f key | grep ^ssh > /root/.ssh/authorized_keys
                    dropbear -r host -p 127.0.0.1:2222 -P $PWD/pid
                    trap 'kill $(cat $PWD/pid)' EXIT
                    \(send) --from \(point) |
                        dbclient -y -i key -p 2222 root@127.0.0.1 \(other) dmsnap receive --resume
                    """)
                // Those before the cut have come before it.
                let arrived = try await sh(
                    "\(other) dmsnap sessions | awk '$2 == \"archived\" { print $1 }'")
                #expect(arrived == sessions.map(\.name).joined(separator: "\n"))
                #expect(printed.contains("\(sessions[2].name): received"))
                let refused = try await run(
                    other, ["dmsnap", "restore", "--yes", "--session", sessions[0].name])
                #expect(refused.status == 64 && refused.err.contains("--device"))
                try await sh(
                    "\(other) dmsnap restore --yes --session \(sessions[0].name) --device \(copy)")
                let restored = try await sh("xxh128sum < \(copy)").prefix(32)
                #expect(restored == checksums[0])
                // Sent again nothing is new, and one can be deleted there.
                let again = try await sh("\(send) | \(other) dmsnap receive")
                #expect(
                    again.split(separator: "\n").allSatisfy { $0.hasSuffix("it is here already") })
                try await sh(
                    "\(other) dmsnap delete \(sessions[1].name); \(other) dmsnap verify \(sessions[0].name)"
                )
            }
        }

        @Test("A command copies each archive away, and is run again until it has")
        func after() async throws {
            try await Rig.with(.image, size: 32 << 20) { rig in
                let script =
                    "exec rclone --config \(rig.directory)/rclone.conf copy \\\"$DMSNAP_DIRECTORY\\\" "
                    + "\\\"far:\(rig.directory)/far/$DMSNAP_SESSION\\\""
                try await sh(
                    """
                    mkfs.ext4 -q -F \(rig.device); mkdir -p /etc/dmsnap
                    printf '[archive]\\nafter = ["/bin/sh", "-c", "%s"]\\n' '\(script)' \
                        > /etc/dmsnap/dmsnap.toml
                    """)
                try await rig.activate()
                let session = try await rig.mounted("echo x > x")
                try await rig.archived(session)
                // There is no such remote yet.
                try await eventually("it is said that it has failed", within: 60) {
                    try await Dmsnap.must(["status"]).contains("it has failed 1 times: exit status")
                }
                try await sh("printf '[far]\\ntype = local\\n' > \(rig.directory)/rclone.conf")
                let note = FilePath(session.directory).appending("after.json")
                try await eventually("it is run again", within: 120) {
                    let bytes = (try? Files.read(note)) ?? []
                    return !bytes.isEmpty && !String(decoding: bytes, as: UTF8.self).contains("due")
                }
                try await sh(
                    """
                    cd \(rig.directory)/far/\(session.name)
                    cmp chunks.dmsz \(session.directory)/chunks.dmsz
                    cmp session.json \(session.directory)/session.json
                    rm /etc/dmsnap/dmsnap.toml
                    """)
                #expect(try await !Dmsnap.must(["status"]).contains("command for archives"))
            }
        }
    }
}

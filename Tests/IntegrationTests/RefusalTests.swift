import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Refusals {
        @Test("A mounted device is not activated (75), and says where it is mounted")
        func mounted() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device); mount \(rig.device) \(rig.mountPoint)")
                try await Dmsnap.refuses(
                    [
                        "activate", rig.device, "--passfile", Dmsnap.passfile, "--store-dir",
                        rig.base,
                    ],
                    status: 75, saying: [rig.device, rig.mountPoint, "unmount"])
                #expect(try await Dmsnap.status().isEmpty)
            }
        }

        @Test("An image attached to a loop device is not activated (75)")
        func attached() async throws {
            try await Rig.with(.block) { rig in
                try await Dmsnap.refuses(
                    ["activate", rig.file, "--passfile", Dmsnap.passfile, "--store-dir", rig.base],
                    status: 75, saying: [rig.file, rig.device])
            }
        }

        @Test("Deactivating and restoring are refused while it is mounted (75)")
        func open() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let session = try await rig.mounted("echo x > x")
                try await rig.mount()
                let path = try await rig.path()
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: [path, rig.mountPoint, "umount"])
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name], status: 75, saying: [path, "unmount"])
                #expect(try await rig.status().state == "open")
                try await rig.unmount()
            }
        }

        @Test("A wrong password, none set, an open passfile: 77, and nothing is activated")
        func passwords() async throws {
            try await Rig.with(.image) { rig in
                let wrong = "\(rig.directory)/wrong"
                try await sh("umask 077; echo guess > \(wrong)")
                for verb in ["activate", "deactivate"] {
                    if verb == "deactivate" { try await rig.activate() }
                    try await Dmsnap.refuses(
                        [verb, rig.device, "--passfile", wrong], status: 77,
                        saying: ["wrong password"])
                }
                try await Dmsnap.refuses(
                    ["deactivate", rig.device], status: 77, saying: ["--passfile"])
                try await Dmsnap.refuses(
                    ["passwd", "--passfile", wrong, "--old-passfile", wrong], status: 77,
                    saying: ["wrong password"])
                try await sh("chmod 644 \(wrong)")
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", wrong], status: 77,
                    saying: [wrong, "chmod 600"])
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", "/nowhere"], status: 77,
                    saying: ["/nowhere"])
                #expect(try await rig.status().state == "armed")
                try await sh("mv /etc/dmsnap/password /etc/dmsnap/password.aside")
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 77,
                    saying: ["no password", "dmsnap passwd"])
                try await sh("mv /etc/dmsnap/password.aside /etc/dmsnap/password")
            }
        }

        private func onTerminal(
            _ how: String, _ typed: String, _ words: [String], program: String = Dmsnap.program
        ) async throws -> [String] {
            let script = FilePath(#filePath).removingLastComponent().appending("terminal.py")
            let output = try await run(
                "/usr/bin/python3", [script.string, how, typed, program] + words)
            #expect(output.status == 0, "\(output.err)")
            return output.out.split(separator: "\n").map(String.init)
        }

        @Test("A signal at the prompt restores the echo, does what it does, and dumps no core")
        func terminal() async throws {
            try await Rig.with(.image) { rig in
                try await rig.activate()
                let words = ["deactivate", rig.device]
                for (how, number) in [("INT", 2), ("QUIT", 3), ("HUP", 1), ("TERM", 15)] {
                    let steps = try await onTerminal(how, "", words)
                    #expect(steps == ["signal \(number) echo 1"])
                }
                #expect(try await rig.status().state == "armed")
                // Another program does.
                let control = ["-c", "stty -echo; exec sleep 60"]
                #expect(
                    try await onTerminal("QUIT", "", control, program: "/bin/sh") == [
                        "signal 3 core echo 0"
                    ])
                #expect(try await onTerminal("NONE", "guess", words) == ["status 77 echo 1"])
                // Stopped and continued, it asks again, and nothing typed is shown.
                let steps = try await onTerminal("TSTP", Dmsnap.password, words)
                #expect(steps == ["stopped 1 echo 1", "status 0 echo 1"])
                #expect(try await Dmsnap.status().isEmpty)
            }
        }

        @Test("A password comes through standard input and pipes, and is set without device-mapper")
        func pipes() async throws {
            try await Rig.with(.image) { rig in
                try await sh(
                    """
                    printf '%s\\n' '\(Dmsnap.password)' |
                        dmsnap activate \(rig.device) --passfile - --store-dir \(rig.base)
                    """)
                try await sh(
                    "cat \(Dmsnap.passfile) | dmsnap deactivate \(rig.device) --passfile /dev/stdin"
                )
                try await sh(
                    """
                    mkfifo -m 666 \(rig.directory)/fifo
                    cat \(Dmsnap.passfile) > \(rig.directory)/fifo &
                    dmsnap activate \(rig.device) --passfile \(rig.directory)/fifo \
                        --store-dir \(rig.base)
                    """)
                // A process of a mount namespace that has no control device, as in a container.
                try await sh(
                    """
                    unshare --mount sh -euc '
                        mount -t tmpfs none /dev/mapper
                        dmsnap passwd --passfile \(Dmsnap.passfile) --old-passfile - \
                            < \(Dmsnap.passfile)'
                    """)
            }
        }

        @Test("Nothing is uninstalled while a device is activated")
        func uninstall() async throws {
            try await Rig.with(.image) { rig in
                try await rig.activate()
                let root = FilePath(#filePath).removingLastComponent().removingLastComponent()
                    .removingLastComponent()
                let output = try await run("make", ["-s", "-C", root.string, "uninstall"])
                #expect(output.status != 0)
                #expect(output.out.contains("  \(rig.device)\n"))
                #expect(output.out.contains("dmsnap deactivate"))
                #expect(try await rig.status().state == "armed")
            }
        }

        @Test("Whoever is not root is refused (77)")
        func notRoot() async throws {
            try await Rig.with(.image) { rig in
                for verb in ["activate", "deactivate", "status", "sessions"] {
                    let output = try await run(
                        "/usr/bin/setpriv",
                        ["--reuid", "65534", "--clear-groups", Dmsnap.program, verb]
                            + (verb.hasSuffix("activate") ? [rig.device] : []))
                    #expect(output.status == 77)
                    #expect(output.err.contains("only root"))
                }
            }
        }

        @Test("What is not there, not activated, or no session: 66")
        func missing() async throws {
            try await Rig.with(.image) { rig in
                let pass = ["--passfile", Dmsnap.passfile]
                try await Dmsnap.refuses(
                    ["activate", "/dev/nothing"] + pass, status: 66, saying: ["/dev/nothing"])
                try await Dmsnap.refuses(
                    ["deactivate", rig.device] + pass, status: 66,
                    saying: [rig.device, "not activated"])
                try await Dmsnap.refuses(
                    ["restore", "--session", "nothing"], status: 66, saying: ["nothing"])
                try await Dmsnap.refuses(["show", "nothing"], status: 66, saying: ["nothing"])
                try await Dmsnap.refuses(
                    ["status", rig.device], status: 66, saying: ["not activated"])
            }
        }

        @Test("A directory, an empty file, a bad chunk size, no device: 64")
        func unsuitable() async throws {
            try await Rig.with(.image) { rig in
                let pass = ["--passfile", Dmsnap.passfile]
                try await Dmsnap.refuses(
                    ["activate", rig.directory] + pass, status: 64, saying: [rig.directory])
                try await sh("touch \(rig.directory)/empty")
                try await Dmsnap.refuses(
                    ["activate", "\(rig.directory)/empty"] + pass, status: 64, saying: ["empty"])
                try await Dmsnap.refuses(
                    ["activate", rig.device, "--chunk-size", "5K"] + pass, status: 64,
                    saying: ["5K", "power of two"])
                try await Dmsnap.refuses(["activate"] + pass, status: 64, saying: ["DEVICE"])
                try await Dmsnap.refuses(["frobnicate"], status: 64, saying: ["frobnicate"])
                try await sh("mkdir -m 777 \(rig.base)")
                try await Dmsnap.refuses(
                    ["activate", rig.device, "--store-dir", rig.base] + pass, status: 64,
                    saying: [rig.base, "chmod 700"])
            }
        }

        @Test("A partitioned disk is refused, a partition is taken")
        func partitioned() async throws {
            try await Rig.with(.block) { rig in
                try await sh(
                    """
                    printf 'start=2048,size=40960\\n' | sfdisk -q --label gpt \(rig.device)
                    partx -u \(rig.device); udevadm settle
                    """)
                let pass = ["--passfile", Dmsnap.passfile, "--store-dir", rig.base]
                try await Dmsnap.refuses(
                    ["activate", rig.device] + pass, status: 64,
                    saying: [rig.device, "partition", "\(rig.device)p1"])
                let part = "\(rig.device)p1"
                try await sh("mkfs.ext4 -q -F \(part)")
                let before = try await sh("sha256sum < \(part)")
                try await Dmsnap.must(["activate", part] + pass)
                let path = try #require(try await Dmsnap.status().first).path
                try await sh("mount \(path) \(rig.mountPoint); echo x > \(rig.mountPoint)/x")
                try await sh("umount \(rig.mountPoint)")
                try await Dmsnap.must(["deactivate", part] + pass.prefix(2))
                let session = try #require(try await Dmsnap.sessions(of: part).first)
                try await Dmsnap.must(["restore", "--session", session.name])
                try await sh("blockdev --flushbufs \(part)")
                #expect(try await sh("sha256sum < \(part)") == before)
                try await sh("partx -d \(rig.device)")
            }
        }

        @Test("A session whose device was written since restores with --accept-writes alone (65)")
        func brokenChain() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let session = try await rig.mounted("echo x > x")
                try await rig.deactivate()
                try await sh("tune2fs -L other \(rig.device)")
                let changed = try await rig.checksum()
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name], status: 65,
                    saying: [rig.device, session.name, "--accept-writes"])
                // --force lifts nothing, and says what would.
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name, "--force"], status: 64,
                    saying: ["--force lifts nothing", rig.device, "give --accept-writes"])
                try await Dmsnap.refuses(
                    [
                        "restore", "--session", session.name, "--skip-damaged", "--other-device",
                    ], status: 65, saying: ["--accept-writes"])
                #expect(try await rig.checksum() == changed)
                // What tune2fs wrote elsewhere no session has: it is said, and is no success.
                let accepted = try await Dmsnap.call(
                    ["restore", "--session", session.name, "--accept-writes"])
                #expect(accepted.status == 65, "\(accepted.err)")
                #expect(accepted.out.contains("It is NOT what it was before that mount"))
                #expect(try await rig.checksum() != changed)
            }
        }

        @Test("A damaged store is found before the first write (65)")
        func damaged() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                // The kernel's own form is to be met.
                try await sh("printf '[archive]\nenabled = false\n' > /etc/dmsnap/dmsnap.toml")
                try await rig.activate()
                let session = try await rig.mounted("echo x > x")
                try await rig.deactivate()
                let before = try await rig.checksum()
                // The second exception's new chunk becomes the first one's.
                try await sh(
                    """
                    store=\(session.directory)/store
                    dd if=$store of=$store bs=1 skip=$((16384+8)) seek=$((16384+24)) count=8 \
                    conv=notrunc status=none
                    """)
                try await Dmsnap.refuses(
                    ["restore", "--session", session.name], status: 65,
                    saying: [session.name, "damaged"])
                #expect(try await rig.checksum() == before)
                try await sh("rm /etc/dmsnap/dmsnap.toml")
            }
        }

        @Test("Options stand anywhere, as in the system that this replaces")
        func optionsAnywhere() async throws {
            try await Rig.with(.image) { rig in
                try await Dmsnap.must([
                    "--dev", rig.device, "--passfile", Dmsnap.passfile, "activate", "--store-dir",
                    rig.base,
                ])
                #expect(try await rig.status().state == "armed")
                // Twice is once.
                try await rig.activate()
                #expect(try await Dmsnap.status().count == 1)
                try await Dmsnap.must([
                    "--dev", rig.device, "--passfile", Dmsnap.passfile, "deactivate",
                ])
                #expect(try await Dmsnap.status().isEmpty)
            }
        }
    }
}

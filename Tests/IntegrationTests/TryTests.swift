import Block
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Tries {
        private func attempt(
            _ rig: Rig, _ script: String, _ options: [String] = []
        ) async throws -> Output {
            try await Dmsnap.call(
                ["try"] + options + [rig.device, rig.mountPoint, "--", "sh", "-euc", script])
        }

        private func commit(_ rig: Rig, _ script: String) async throws -> Output {
            try await attempt(rig, script, ["--commit-on-success"])
        }

        @Test(
            "Whatever a command writes is gone with it, activated or not, and its status is what it was",
            arguments: Boundaries.fileSystems)
        func gone(fileSystem: Boundaries.FileSystem) async throws {
            try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
                try await fileSystem.make(on: rig, "echo kept > kept")
                let before = try await rig.checksum()
                let script = """
                    cd \(rig.mountPoint); grep -qx kept kept; rm kept; mkdir new
                    head -c 3M /dev/urandom > new/file; sync; cmp -n 100 new/file new/file; exit 7
                    """
                func checkGone() async throws {
                    let output = try await attempt(rig, script)
                    #expect(output.status == 7, "\(output.err)")
                    #expect(output.err.contains("is as it was"), "\(output.err)")
                    #expect(try await rig.checksum() == before)
                    #expect(!Machine.isMounted(below: rig.mountPoint))
                }
                try await checkGone()
                #expect(try await Dmsnap.status().isEmpty, "it is not activated afterwards")
                try await rig.activate()
                try await checkGone()
                #expect(try await rig.sessions().isEmpty, "something was captured")

                // While it is mounted, with what is in it then; the session goes on.
                try await rig.mount()
                try await sh("echo more > \(rig.mountPoint)/more")
                let output = try await attempt(
                    rig, "cd \(rig.mountPoint); cat kept more; echo no > more")
                #expect(output.status == 0 && output.out == "kept\nmore\n", "\(output.err)")
                #expect(output.err.contains("is gone; others may have written"))
                try await sh("grep -qx more \(rig.mountPoint)/more")
                #expect(try await rig.status().state == "open")
                try await rig.unmount()
                try await rig.deactivate()
            }
        }

        @Test(
            "What a command wrote that ended well is on the device if that was wished for, and a session leads back",
            arguments: Boundaries.fileSystems)
        func committed(fileSystem: Boundaries.FileSystem) async throws {
            try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
                try await fileSystem.make(on: rig, "echo kept > kept")
                try await rig.activate()
                let before = try await rig.checksum()
                let script =
                    "cd \(rig.mountPoint); rm kept; head -c 3M /dev/zero | tr '\\0' x > new"
                let failed = try await commit(rig, "\(script); exit 3")
                #expect(failed.status == 3 && failed.err.contains("is as it was"), "\(failed.err)")
                #expect(try await rig.checksum() == before)
                #expect(try await rig.sessions().isEmpty)

                let output = try await commit(rig, script)
                #expect(output.status == 0 && output.err.contains("is on"), "\(output.err)")
                let session = try #require(await rig.sessions().first)
                #expect(session.label?.hasPrefix("before sh -euc cd") == true)
                #expect(output.err.contains("restore --session \(session.name)"), "\(output.err)")
                try await rig.mounted(
                    "test ! -e kept; test $(tr -d x < new | wc -c) = 0; stat -c %s new | grep -qx 3145728"
                )
                try await Dmsnap.must(["restore", "--session", session.name])
                #expect(try await rig.checksum() == before)
                try await rig.deactivate()
            }
        }

        @Test(
            "Nothing is committed where others have been at it, or nothing would lead back; and a kill is undone"
        )
        func commitTrouble() async throws {
            try await Rig.with(.image, size: 160 << 20) { rig in
                let ran = "\(rig.directory)/ran"
                func refuses(_ script: String, _ status: Int32, _ saying: String) async throws {
                    let output = try await commit(rig, script)
                    #expect(output.status == status && output.err.contains(saying), "\(output.err)")
                }
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await refuses("touch \(ran)", 78, "isn't activated")
                try await rig.activate()
                let origin = try await rig.path()
                try await rig.mount()
                try await refuses("touch \(ran)", 75, "in use")
                try await rig.unmount()
                #expect(!Files.exists(FilePath(ran)))
                // Written past the command: the end of the device, which no file has.
                try await refuses(
                    """
                    echo x > \(rig.mountPoint)/x
                    dd if=/dev/urandom of=\(origin) bs=4k count=1 seek=40959 conv=notrunc,fsync 2> /dev/null
                    """, 75, "something has written to it")
                try await rig.mounted("test ! -e x")
                let before = try await rig.checksum()
                let known = Set(rig.directories())
                try await sh(
                    """
                    dmsnap try --commit-on-success \(rig.device) \(rig.mountPoint) -- \
                        sh -euc 'head -c 120M /dev/urandom > \(rig.mountPoint)/large' 2> /dev/null & pid=$!
                    until [ "$(dmsetup status | awk '/^dmsnapcow/ && !/view/ { split($5, a, "/"); print (a[1] > 9000) }')" = 1 ] ||
                        ! kill -0 $pid 2> /dev/null
                    do sleep 0.02; done
                    kill -9 $pid; wait $pid || :
                    dmsetup udevcomplete_all --yes > /dev/null
                    """)
                try await eventually("it is a session") { rig.directories().count > known.count }
                let session = try #require(rig.directories().first { !known.contains($0) })
                #expect(try await rig.checksum() != before)
                try await Dmsnap.must(["restore", "--session", session])
                #expect(try await rig.checksum() == before)
                try await rig.deactivate()
            }
        }

        @Test("What couldn't be taken back again, since its store would get full, is not committed")
        func commitTooMuch() async throws {
            try await Rig.with(.image, size: 96 << 20) { rig in
                let settings = "/etc/dmsnap/dmsnap.toml"
                try await sh(
                    """
                    mkfs.ext4 -q -F \(rig.device)
                    mkdir -p /etc/dmsnap; printf '[store]\\nlimit = "10%%"\\n' > \(settings)
                    """)
                try await rig.activate()
                let before = try await rig.checksum()
                let script = "head -c 24M /dev/urandom > \(rig.mountPoint)/large"
                let output = try await commit(rig, script)
                #expect(output.status == 74, "\(output.err)")
                #expect(output.err.contains("store.limit"), "\(output.err)")
                #expect(try await rig.checksum() == before)
                #expect(try await rig.sessions().isEmpty)
                #expect(try await rig.status().state == "armed")
                let little = try await commit(rig, "echo x > \(rig.mountPoint)/x")
                #expect(little.status == 0, "\(little.err)")
                try await rig.deactivate()
                try await sh("rm \(settings)")
            }
        }

        @Test(
            "Signals, what the command leaves running, and a kill: nothing is left, and nothing written"
        )
        func ends() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await rig.checksum()
                let started = "\(rig.directory)/started"
                let nobodyLeft =
                    "for _ in $(seq 100); do pgrep -f 'sleep 98[0-9]' || exit 0; sleep 0.1; done; exit 1"
                func isClean() async throws {
                    try await sh(nobodyLeft)
                    try await eventually("the view is gone") {
                        ((try? Files.list("/dev/mapper")) ?? []) == ["control"]
                    }
                    #expect(try await rig.checksum() == before)
                }
                // Children in the background, in a session of their own too, go with it.
                let left = try await attempt(
                    rig, "sleep 981 & setsid sleep 982 & echo x > \(rig.mountPoint)/x")
                #expect(left.status == 0, "\(left.err)")
                try await isClean()

                for (signal, status) in [("TERM", 143), ("KILL", 137), ("HUP", 129)] {
                    let script =
                        "echo x > \(rig.mountPoint)/x; setsid sleep 983 & touch \(started); exec sleep 984"
                    let ended = try await sh(
                        """
                        rm -f \(started)
                        dmsnap try \(rig.device) \(rig.mountPoint) -- sh -euc '\(script)' 2> /dev/null &
                        until [ -e \(started) ]; do sleep 0.1; done; sleep 0.3
                        kill -\(signal) $!; wait $! && echo 0 || echo $?
                        """)
                    #expect(ended == "\(status)", "SIG\(signal)")
                    try await isClean()
                }
                // Many at once, each with what it wrote itself.
                let many = try await sh(
                    """
                    for n in 1 2 3 4 5; do
                        dmsnap try \(rig.device) \(rig.mountPoint) -- \
                            sh -euc "echo $n > \(rig.mountPoint)/n; sleep 1; grep -x $n \(rig.mountPoint)/n" 2>&1 &
                    done
                    wait
                    """)
                #expect(many.split(separator: "\n").filter { $0.count == 1 }.count == 5, "\(many)")
                try await isClean()
                // What it shows is for the command alone.
                let hidden = try await attempt(
                    rig, "touch \(rig.mountPoint)/here; ls \(rig.mountPoint)/here")
                #expect(hidden.status == 0)
                try await sh("test ! -e \(rig.mountPoint)/here")
            }
        }

        @Test("A command that writes more than there is room for gets errors, and that is said")
        func full() async throws {
            try await Rig.with(.image, size: 256 << 20) { rig in
                try await sh(
                    """
                    mkfs.ext4 -q -F \(rig.device); mkdir -m 700 \(rig.base)
                    truncate -s 80M \(rig.directory)/small; mkfs.ext4 -q -F \(rig.directory)/small
                    mount -o loop \(rig.directory)/small \(rig.base); chmod 700 \(rig.base)
                    """)
                let before = try await rig.checksum()
                try await rig.activate()
                let output = try await attempt(
                    rig,
                    """
                    dd if=/dev/zero of=\(rig.mountPoint)/big bs=1M count=200 oflag=direct 2> /dev/null || exit 9
                    """)
                #expect(output.status == 9, "\(output.err)")
                #expect(output.err.contains("more than there was room for"), "\(output.err)")
                #expect(try await rig.status().state == "armed")
                #expect(try await rig.checksum() == before)
                try await rig.deactivate()
            }
        }

        @Test("What can't be tried is refused with a status of its own, and nothing has run")
        func refused() async throws {
            try await Rig.with(.block) { rig in
                let ran = "\(rig.directory)/ran"
                func refuses(_ words: [String], _ status: Int32, _ saying: String) async throws {
                    let output = try await Dmsnap.call(["try"] + words)
                    #expect(output.status == status, "\(words): \(output.err)")
                    #expect(output.err.contains(saying), "\(words): \(output.err)")
                    #expect(!Files.exists(FilePath(ran)))
                }
                let touch = ["--", "touch", ran]
                try await refuses([rig.device, rig.mountPoint] + touch, 78, "no file system")
                try await sh(
                    "mkfs.ext4 -q -F \(rig.device); echo 'exit 0' > \(rig.directory)/plain")
                try await refuses(["/dev/nowhere", rig.mountPoint] + touch, 72, "/dev/nowhere")
                try await refuses([rig.device, rig.file] + touch, 78, "no directory")
                try await refuses([rig.device, "\(rig.directory)/none"] + touch, 72, "none")
                try await refuses([rig.device, rig.mountPoint], 64, "COMMAND")
                try await refuses(
                    [rig.device, rig.mountPoint, "--", "no-such-program"], 127, "no-such-program")
                try await refuses(
                    [rig.device, rig.mountPoint, "--", "\(rig.directory)/plain"], 126, "plain")
                // It needs none, and a wrong one is a mistake.
                try await sh("umask 077; echo wrong > \(rig.directory)/wrong")
                try await refuses(
                    ["--passfile", "\(rig.directory)/wrong", rig.device, rig.mountPoint] + touch,
                    77,
                    "password")
                try await Dmsnap.must(
                    [
                        "try", "--passfile", Dmsnap.passfile, rig.device, rig.mountPoint, "--",
                        "true",
                    ])
                // Not activated, and in somebody's hands.
                try await sh("mount \(rig.device) \(rig.mountPoint)")
                try await refuses([rig.device, "/mnt"] + touch, 75, "mounted")
                try await sh("umount \(rig.mountPoint)")
            }
        }
    }
}

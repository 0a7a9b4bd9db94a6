import Testing

extension IntegrationTests {
    /// Verbs and the monitor killed at moments spread over all of their run. What a simulated kernel
    /// tests step by step is tried here on the real one.
    @Suite struct Kills {
        /// Runs a verb and kills it after so many milliseconds; most are then somewhere inside.
        private func kill(_ arguments: [String], after milliseconds: Int) async throws {
            let words = ([Dmsnap.program] + arguments).map(quoted).joined(separator: " ")
            let seconds = "\(milliseconds / 1000).\(String(1000 + milliseconds % 1000).dropFirst())"
            _ = try await run(
                "/bin/sh", ["-c", "timeout -s KILL \(seconds) \(words) > /dev/null 2>&1"])
        }

        /// The guard resumes what a killed process has left suspended; and the monitor may be exchanging
        /// stores at this very moment.
        private func nothingIsSuspended() async throws {
            try await eventually("nothing is suspended", within: 1) {
                try await sh(
                    "dmsetup info -c --noheadings -o name,suspended | grep -i suspended || true"
                ).isEmpty
            }
        }

        @Test("Killed while it activates or deactivates, the same command completes or undoes it")
        func activation() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await rig.checksum()
                let pass = ["--passfile", Dmsnap.passfile]
                for step in 0..<6 {
                    let delay = 300 + step * 130
                    try await kill(
                        ["activate", rig.device, "--store-dir", rig.base] + pass, after: delay)
                    try await rig.activate()
                    #expect(try await rig.status().state == "armed")
                    try await nothingIsSuspended()
                    try await kill(["deactivate", rig.device] + pass, after: delay)
                    _ = try await Dmsnap.call(["deactivate", rig.device] + pass)
                    #expect(try await Dmsnap.status().isEmpty)
                    #expect(try await sh("dmsetup ls; losetup -a") == "No devices found")
                }
                #expect(try await sh("ls -A \(rig.base)/.armed").isEmpty)
                #expect(try await rig.checksum() == before)
                try await forgetCookies()
            }
        }

        /// libdevmapper's semaphores outlive a process that is killed between a change and udev's
        /// answer, whoever uses it; this is what its own tool has for them.
        private func forgetCookies() async throws {
            try await sh("dmsetup udevcomplete_all --yes > /dev/null")
        }

        @Test("Killed while it closes sessions, the next monitor goes on, and no session is lost")
        func monitor() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                var baselines: [String] = []
                for step in 0..<7 {
                    baselines.append(try await rig.checksum())
                    try await rig.mount()
                    try await sh(
                        """
                        head -c 50k /dev/urandom > \(rig.mountPoint)/f\(step % 3)
                        umount \(rig.mountPoint)
                        sleep 0.\(String(1000 + step * 60).dropFirst())
                        pkill -KILL -x dmsnap || true
                        """)
                    // Idempotent, and it starts a monitor, which recovers.
                    try await rig.activate()
                    try await eventually("the session is closed") { rig.openSessions().isEmpty }
                    try await eventually("it is armed") {
                        try await rig.status().state == "armed"
                    }
                    try await nothingIsSuspended()
                }
                let all = try await rig.sessions()
                #expect(all.count == 7 && all.allSatisfy(\.complete))
                for index in [6, 3, 0] {
                    try await rig.restore(all[index])
                    #expect(try await rig.checksum() == baselines[index])
                }
                try await forgetCookies()
            }
        }

        @Test("A restore that is killed goes on when it is called again")
        func restore() async throws {
            try await Rig.with(.block, size: 64 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await rig.checksum()
                try await rig.activate(["--chunk-size", "4K"])
                try await rig.mounted("head -c 40M /dev/urandom > f")
                // Through the armed device: each part that was written is captured, and nobody's use of it.
                for delay in [350, 500, 700, 900] {
                    try await kill(["reset", rig.device], after: delay)
                    try await nothingIsSuspended()
                }
                #expect(try await Dmsnap.call(["reset", rig.device]).status == 0)
                #expect(try await rig.checksum() == before)

                // Bare: the marker lets the same restore go on, though the device is half of each.
                let changed = try await rig.mounted("head -c 40M /dev/urandom > f")
                try await rig.deactivate()
                for delay in [350, 500, 700, 900] {
                    try await kill(["restore", "--session", changed.name], after: delay)
                }
                try await rig.restore(changed)
                #expect(try await rig.checksum() == before)
                try await forgetCookies()
            }
        }

        @Test("Two verbs at the same instant do not end halfway")
        func together() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let arguments = [
                    "activate", rig.device, "--passfile", Dmsnap.passfile, "--store-dir", rig.base,
                ]
                async let one = Dmsnap.call(arguments)
                async let two = Dmsnap.call(arguments)
                let statuses = try await [one.status, two.status]
                #expect(statuses == [0, 0])
                #expect(try await Dmsnap.status().count == 1)
                let down = ["deactivate", rig.device, "--passfile", Dmsnap.passfile]
                async let three = Dmsnap.call(down)
                async let four = Dmsnap.call(down)
                let ends = Set(try await [three.status, four.status])
                #expect(ends.isSubset(of: [0, 66]) && ends.contains(0))
                #expect(try await Dmsnap.status().isEmpty)
            }
        }
    }
}

import Block
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct MountHelper {
        @Test("mount -t dmsnap activates at need, mounts through us, and umount ends it")
        func image() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let before = try await rig.checksum()
                // A fake mount needs nothing and changes nothing.
                try await sh("mount -f -t dmsnap \(rig.device) \(rig.mountPoint)")
                #expect(!Files.exists("/dev/mapper/dmsnap-disk.img"))
                let ours = "passfile=\(Dmsnap.passfile),store-dir=\(rig.base)"
                try await sh(
                    "mount -t dmsnap -o \(ours),noatime \(rig.device) \(rig.mountPoint)")
                let shown = try await sh("findmnt -n -o SOURCE,FSTYPE,OPTIONS \(rig.mountPoint)")
                #expect(shown.contains("/dev/mapper/dmsnap-"))
                #expect(shown.contains("ext4") && shown.contains("noatime"))
                try await eventually("the session is open") { !rig.openSessions().isEmpty }
                try await sh("echo x > \(rig.mountPoint)/x; umount \(rig.mountPoint)")
                try await eventually("the session is closed") { rig.openSessions().isEmpty }
                // Activated now: no password is needed any more, and it is as it is.
                let said = try await sh(
                    "mount -t dmsnap -o ro,chunk-size=1M \(rig.device) \(rig.mountPoint) 2>&1")
                #expect(said.contains("it is activated with chunks of 16"))
                #expect(try await sh("cat \(rig.mountPoint)/x") == "x")
                try await rig.unmount()
                let session = try #require(try await rig.sessions().first)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("A line in fstab mounts an image by its mount point alone")
        func fstab() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                try await sh(
                    """
                    cp /etc/fstab \(rig.directory)/fstab
                    echo '\(rig.device) \(rig.mountPoint) dmsnap defaults 0 0' >> /etc/fstab
                    """)
                do {
                    try await sh("mount \(rig.mountPoint)")
                    try await eventually("the session is open") { !rig.openSessions().isEmpty }
                    // Mounted already is as good as mounted, whatever the source is called.
                    try await sh("mount -a; mount -a; mount \(rig.device)")
                    #expect(try await sh("findmnt -n \(rig.mountPoint) | wc -l") == "1")
                    try await sh("mount -o remount,ro \(rig.mountPoint)")
                    #expect(try await sh("findmnt -n -o OPTIONS \(rig.mountPoint)").hasPrefix("ro"))
                    try await sh("mount -o remount,rw \(rig.mountPoint)")
                    try await sh("echo x > \(rig.mountPoint)/x; umount \(rig.mountPoint)")
                    try await eventually("it is closed") { rig.openSessions().isEmpty }
                } catch {
                    try await sh("cp \(rig.directory)/fstab /etc/fstab")
                    throw error
                }
                try await sh("cp \(rig.directory)/fstab /etc/fstab")
            }
        }

        @Test("A mount that fails leaves nothing activated, and has a status of mount(8)'s")
        func failures() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let wrong = "\(rig.directory)/wrong"
                try await sh("umask 077; echo guess > \(wrong)")
                let pass = "passfile=\(Dmsnap.passfile),store-dir=\(rig.base)"
                let there = rig.mountPoint
                for (options, directory, status, words) in [
                    ("rw", there, 1, "-o passfile=FILE"),
                    ("passfile=\(wrong)", there, 1, "wrong password"),
                    ("\(pass),chunk-size=5K", there, 1, "chunk-size=5K"),
                    ("\(pass),no-such-option", there, 32, "no-such-option"),
                    ("\(pass),fstype=xfs", there, 32, ""),
                    (pass, "\(there)/none", 32, "\(there)/none"),
                ] as [(String, String, Int32, String)] {
                    let output = try await run(
                        "/bin/mount", ["-t", "dmsnap", "-o", options, rig.device, directory])
                    #expect(output.status == status, "\(options): \(output.err)")
                    if !words.isEmpty, words != "no-such-option" {
                        #expect(output.err.contains(words))
                    }
                    #expect(try await Dmsnap.status().isEmpty, "\(options)")
                    #expect(try await sh("losetup -j \(rig.device)").isEmpty, "\(options)")
                }
                // What was activated before stays so.
                try await rig.activate()
                let output = try await run(
                    "/bin/mount", ["-t", "dmsnap", "-o", "no-such-option", rig.device, there])
                #expect(output.status == 32)
                #expect(try await rig.status().state == "armed")
            }
        }

        private func isLetGoOf(_ rig: Rig) async throws {
            try await eventually("mount(8) has let go of the image") {
                try await sh("losetup -j \(rig.device)").isEmpty
            }
        }

        @Test("The image is activated, not the loop device that mount(8) makes of it")
        func loop() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let first = try await rig.checksum()
                let pass = "passfile=\(Dmsnap.passfile),store-dir=\(rig.base)"
                // A part of it, or one for reading only, can't be.
                for options in ["offset=4096,\(pass)", "sizelimit=1M,\(pass)", "loop,ro,\(pass)"] {
                    let output = try await run(
                        "/bin/mount", ["-t", "dmsnap", "-o", options, rig.device, rig.mountPoint])
                    #expect(output.status == 32, "\(options)")
                    #expect(output.err.contains("\(rig.device): "), "\(output.err)")
                    #expect(output.err.contains("out"), "\(output.err)")
                    #expect(try await Dmsnap.status().isEmpty)
                    try await isLetGoOf(rig)
                }
                // It fails after the activation.
                let failed = try await run(
                    "/bin/mount",
                    [
                        "-t", "dmsnap", "-o", "loop,no-such-option,\(pass)", rig.device,
                        rig.mountPoint,
                    ])
                #expect(failed.status == 32)
                #expect(try await Dmsnap.status().isEmpty)
                try await isLetGoOf(rig)

                try await sh("mount -t dmsnap -o loop,\(pass) \(rig.device) \(rig.mountPoint)")
                #expect(try await rig.status().kind == "image")
                try await eventually("the session is open") { !rig.openSessions().isEmpty }
                try await sh("echo x > \(rig.mountPoint)/x")
                try await rig.unmount()
                let one = try #require(try await rig.sessions().last)
                #expect(try await sh("losetup -n -O AUTOCLEAR -j \(rig.device)").contains("0"))
                #expect(try await !Dmsnap.must(["status"]).contains("warning"))
                try await rig.restore(one)
                #expect(try await rig.checksum() == first)
                try await rig.deactivate()
                try await isLetGoOf(rig)

                // Of an activated image mount(8) finds our loop device, and leaves it ours.
                try await rig.activate()
                let before = try await rig.checksum()
                try await sh("mount -t dmsnap -o loop \(rig.device) \(rig.mountPoint)")
                try await eventually("the session is open") { !rig.openSessions().isEmpty }
                let source = try await sh("findmnt -n -o SOURCE \(rig.mountPoint)")
                #expect(source.hasPrefix("/dev/mapper/dmsnap-"))
                try await sh("echo x > \(rig.mountPoint)/x")
                try await rig.unmount()
                #expect(try await rig.status().state == "armed")
                let session = try #require(try await rig.sessions().last)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }
    }
}

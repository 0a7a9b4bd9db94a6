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
                // Activated now: no password is needed any more.
                try await sh("mount -t dmsnap -o ro \(rig.device) \(rig.mountPoint)")
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
                    try await sh("echo x > \(rig.mountPoint)/x; umount \(rig.mountPoint)")
                    try await eventually("it is closed") { rig.openSessions().isEmpty }
                } catch {
                    try await sh("cp \(rig.directory)/fstab /etc/fstab")
                    throw error
                }
                try await sh("cp \(rig.directory)/fstab /etc/fstab")
            }
        }

        @Test("Without a password it does not activate (77)")
        func password() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                let output = try await run(
                    "/bin/mount", ["-t", "dmsnap", rig.device, rig.mountPoint])
                #expect(output.status == 77)
                #expect(output.err.contains("-o passfile=FILE"))
                #expect(try await Dmsnap.status().isEmpty)
            }
        }
    }
}

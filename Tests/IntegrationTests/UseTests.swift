import Block
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Uses {
        @Test("A program that has the device open to read it glues no two mounts together")
        func readers() async throws {
            try await Rig.with(.image, size: 32 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let origin = try await rig.path()
                let before = try await rig.checksum()
                try await sh("sleep 985 < \(origin) > /dev/null 2>&1 &")
                var states = [before]
                for name in ["one", "two"] {
                    try await rig.mount()
                    try await eventually("it is open") { try await rig.status().state == "open" }
                    try await sh(
                        "echo \(name) > \(rig.mountPoint)/\(name); umount \(rig.mountPoint)")
                    try await eventually("it is armed") {
                        try await rig.status().state == "armed"
                    }
                    states.append(try await rig.checksum())
                }
                try await sh("pkill -f '^sleep 985'; sleep 0.5")
                let sessions = try await rig.sessions()
                #expect(sessions.count == 2)
                for (session, state) in zip(sessions, states).reversed() {
                    try await Dmsnap.must(["restore", "--session", session.name])
                    #expect(try await rig.checksum() == state)
                }
                try await rig.deactivate()
            }
        }

        @Test("A mount in another namespace, which no event tells of, is a session")
        func otherNamespace() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let path = try await rig.path()
                // In a private namespace as a container has it, until it is told to end.
                try await sh(
                    """
                    mkfifo \(rig.directory)/end
                    unshare -m --propagation private sh -c 'mount \(path) \(rig.mountPoint) && \
                    echo inside > \(rig.mountPoint)/file && sync && cat \(rig.directory)/end; \
                    umount \(rig.mountPoint)' > /dev/null 2>&1 &
                    """)
                try await eventually("the session is open") { !rig.openSessions().isEmpty }
                #expect(try await sh("findmnt \(rig.mountPoint) || echo none") == "none")
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: [rig.mountPoint])
                try await sh("echo > \(rig.directory)/end")
                try await eventually("the session is closed") { rig.openSessions().isEmpty }
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("Swap on the device is a use: a session, and deactivation is refused")
        func swap() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkswap -q \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let path = try await rig.path()
                // A signature that swapon accepts but that is written anew makes it overwrite one.
                try await sh("mkswap -q -L again \(path)")
                try await eventually("the offline session") {
                    try await rig.sessions().count == 1
                }
                try await sh("swapon \(path)")
                try await eventually("a session is open") { !rig.openSessions().isEmpty }
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: ["swapped on"])
                try await sh("swapoff \(path)")
                try await eventually("it is closed") { rig.openSessions().isEmpty }
                try await rig.deactivate()
                let first = try #require(try await rig.sessions().first)
                try await rig.restore(first)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("A device built on top is a use: its mount is covered, and it is named in refusals")
        func deviceOnTop() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let path = try await rig.path()
                try await sh(
                    """
                    dmsetup create ontop --table \
                    "0 $(blockdev --getsz \(path)) linear \(path) 0"
                    mount /dev/mapper/ontop \(rig.mountPoint)
                    echo x > \(rig.mountPoint)/x
                    """)
                try await eventually("a session is open") { !rig.openSessions().isEmpty }
                try await Dmsnap.refuses(
                    ["deactivate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: ["ontop"])
                try await sh("umount \(rig.mountPoint); dmsetup remove --retry ontop")
                try await eventually("it is closed") { rig.openSessions().isEmpty }
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("A device under another one is not activated (75), nor one that swap uses")
        func usedBefore() async throws {
            try await Rig.with(.block) { rig in
                let activate = [
                    "activate", rig.device, "--passfile", Dmsnap.passfile, "--store-dir", rig.base,
                ]
                try await sh(
                    """
                    dmsetup create above --table \
                    "0 $(blockdev --getsz \(rig.device)) linear \(rig.device) 0"
                    """)
                try await Dmsnap.refuses(activate, status: 75, saying: ["above"])
                try await sh("dmsetup remove --retry above; mkswap -q \(rig.device)")
                try await sh("swapon \(rig.device)")
                try await Dmsnap.refuses(activate, status: 75, saying: ["swapped on"])
                try await sh("swapoff \(rig.device)")
            }
        }

        @Test("A store that the origin itself would hold is refused")
        func storeOnOrigin() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await sh("mkdir -p \(rig.base)/deep; mount \(rig.device) \(rig.base)/deep")
                try await sh("mkdir -m 700 \(rig.base)/deep/s; truncate -s 16M \(rig.base)/deep/i")
                // An image on a file system may keep its store there: the store isn't in the image.
                let image = "\(rig.base)/deep/i"
                let pass = ["--passfile", Dmsnap.passfile, "--store-dir", "\(rig.base)/deep/s"]
                try await Dmsnap.must(["activate", image] + pass)
                try await Dmsnap.must(["deactivate", image, "--passfile", Dmsnap.passfile])
                // The device that the file system is on is mounted, and so refused for that.
                try await Dmsnap.refuses(
                    ["activate", rig.device] + pass, status: 75, saying: ["mounted"])
                try await sh("umount \(rig.base)/deep")
            }
        }
    }
}

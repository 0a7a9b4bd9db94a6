import Testing

extension IntegrationTests {
    /// What lies over an activated device, and what may lie under it.
    @Suite struct Layers {
        /// A key derivation that takes no time, since what is tested is not how hard it is to guess;
        /// and a small header.
        private static let cheap = """
            --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
            --luks2-metadata-size 16k --luks2-keyslots-size 256k
            """

        /// Writes a key file, and gives cryptsetup's options for it.
        private func key(_ rig: Rig) async throws -> String {
            try await sh(
                """
                modprobe -a dm-crypt xts aes_generic algif_skcipher
                echo secret > \(rig.directory)/key
                """)
            return "-q --key-file \(rig.directory)/key"
        }

        /// What was written outside a use has become a session, and nothing was written since.
        private func isSettled(_ rig: Rig, empty: UInt64?) async throws -> Bool {
            guard rig.openSessions().isEmpty, !rig.directories().isEmpty else { return false }
            let status = try await rig.status()
            return status.state == "armed" && status.storeUsedBytes == empty
        }

        /// Runs `open`, which builds a device on the origin, and then a mount of that; one session
        /// must last until `close` has taken it down again.
        private func isOneSession(
            _ rig: Rig, open: String, device: String, close: String
        ) async throws -> any NamedSession {
            let before = rig.directories()
            try await sh(open)
            try await eventually("a session is open") { !rig.openSessions().isEmpty }
            let session = rig.openSessions()
            #expect(session.count == 1)
            try await sh(
                """
                mkfs.ext4 -q -F \(device); mount \(device) \(rig.mountPoint)
                head -c 2M /dev/urandom > \(rig.mountPoint)/f; umount \(rig.mountPoint)
                """)
            #expect(rig.openSessions() == session)
            try await sh(close)
            try await eventually("it is closed") { rig.openSessions().isEmpty }
            #expect(rig.directories().filter { !before.contains($0) } == session)
            return try #require(try await rig.sessions().first { $0.name == session.first })
        }

        @Test("LUKS made on the device is one session from its opening to its closing")
        func encryptedAbove() async throws {
            try await Rig.with(.block, size: 16 << 20) { rig in
                let key = try await key(rig)
                try await rig.activate()
                let (path, empty) = (try await rig.path(), try await rig.status().storeUsedBytes)
                let blank = try await rig.checksum()
                try await sh("cryptsetup luksFormat \(Self.cheap) \(key) \(path)")
                try await eventually("what it wrote is a session") {
                    try await isSettled(rig, empty: empty)
                }
                let formatted = try await rig.checksum()
                let session = try await isOneSession(
                    rig, open: "cryptsetup open \(key) \(path) secret",
                    device: "/dev/mapper/secret", close: "cryptsetup close secret")
                #expect(try await rig.checksum() != formatted)
                try await rig.restore(session)
                #expect(try await rig.checksum() == formatted)
                let first = try #require(try await rig.sessions().first)
                try await rig.restore(first)
                #expect(try await rig.checksum() == blank)
            }
        }

        @Test(
            "A device that holds LUKS is activated and restored; while it is opened, it is refused")
        func encryptedBelow() async throws {
            try await Rig.with(.block, size: 16 << 20) { rig in
                let key = try await key(rig)
                try await sh(
                    """
                    cryptsetup luksFormat \(Self.cheap) \(key) \(rig.device)
                    cryptsetup open \(key) \(rig.device) secret
                    """)
                try await Dmsnap.refuses(
                    ["activate", rig.device, "--passfile", Dmsnap.passfile], status: 75,
                    saying: [rig.device, "the device secret is built on it"])
                try await sh("cryptsetup close secret")
                try await rig.activate()
                let path = try await rig.path()
                let before = try await rig.checksum()
                let session = try await isOneSession(
                    rig, open: "cryptsetup open \(key) \(path) secret",
                    device: "/dev/mapper/secret", close: "cryptsetup close secret")
                try await rig.deactivate()
                #expect(try await rig.checksum() != before)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("An md array on the device is one session from its creation to its end")
        func arrayAbove() async throws {
            try await Rig.with(.block, size: 16 << 20) { rig in
                try await rig.activate()
                let path = try await rig.path()
                let before = try await rig.checksum()
                // Or udev puts the array together again at whatever event of the origin, however late.
                let settings = "/etc/mdadm/mdadm.conf.d/dmsnap-test.conf"
                try await sh(
                    "modprobe raid1; mkdir -p /etc/mdadm/mdadm.conf.d; echo AUTO -all > \(settings)"
                )
                do {
                    let session = try await isOneSession(
                        rig,
                        open: """
                            mdadm --quiet --create /dev/md/dmsnaptest --run --level=1 \
                            --raid-devices=2 --metadata=1.2 \(path) missing
                            """,
                        device: "/dev/md/dmsnaptest",
                        close: "mdadm --quiet --stop /dev/md/dmsnaptest")
                    #expect(try await rig.checksum() != before)
                    try await rig.restore(session)
                    #expect(try await rig.checksum() == before)
                } catch {
                    try await sh("rm \(settings)")
                    throw error
                }
                try await sh("udevadm settle; rm \(settings)")
            }
        }

        /// A disk that isn't a loop device.
        struct Driver: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let sector: Int
            let attachment: Attachment

            static let all = [
                Driver(
                    testDescription: "nbd", sector: 512,
                    attachment: Attachment(
                        attach: """
                            modprobe nbd nbds_max=1; ip link set lo up
                            nbd-server 127.0.0.1:10809 "$file" -C /dev/null -p $directory/pid \
                            2> /dev/null
                            nbd-client 127.0.0.1 10809 /dev/nbd0 > /dev/null 2>&1
                            udevadm settle; echo /dev/nbd0
                            """,
                        detach: """
                            nbd-client -d /dev/nbd0 > /dev/null; kill $(cat $directory/pid)
                            """)),
                Driver(
                    testDescription: "SCSI, 4 KiB sectors", sector: 4096,
                    attachment: Attachment(
                        attach: """
                            modprobe sd_mod; modprobe scsi_debug sector_size=4096 dev_size_mb=32
                            udevadm settle
                            echo /dev/$(ls /sys/bus/pseudo/drivers/scsi_debug/adapter0/*/*/*/block)
                            """,
                        // udev looks at what was just closed.
                        detach: """
                            for i in $(seq 50); do
                                modprobe -r scsi_debug 2> /dev/null && break; sleep 0.2
                            done
                            [ ! -e $device ]
                            """)),
            ]
        }

        @Test("Disks of other drivers come back whole", arguments: Driver.all)
        func drivers(driver: Driver) async throws {
            try await Rig.with(.block, size: 32 << 20, attachment: driver.attachment) { rig in
                #expect(try await sh("blockdev --getss \(rig.device)") == "\(driver.sector)")
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                try await rig.mount()
                try await Workload.run(in: rig.mountPoint, seed: 5, operations: 15)
                try await rig.unmount()
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                #expect(try await rig.checksum() != before)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }
    }
}

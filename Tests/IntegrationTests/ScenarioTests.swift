import Testing

extension IntegrationTests {
    /// A file system, how it is made, and a size that it takes. Below 300 MB mkfs.xfs wants
    /// to be told that this is for a test.
    struct FileSystem: Sendable, CustomTestStringConvertible {
        let name: String
        let make: String
        let megabytes: Int

        var testDescription: String { name }

        static let all = [
            FileSystem(name: "ext4", make: "mkfs.ext4 -q -F", megabytes: 96),
            FileSystem(name: "xfs", make: "mkfs.xfs --unsupported -q -f", megabytes: 96),
            FileSystem(name: "btrfs", make: "mkfs.btrfs -q -f", megabytes: 128),
            FileSystem(name: "vfat", make: "mkfs.vfat -F 32", megabytes: 64),
            FileSystem(name: "minix", make: "mkfs.minix -3", megabytes: 48),
        ]
    }

    @Suite struct Scenario {
        @Test(
            "A device is byte for byte what it was before the mount",
            arguments: FileSystem.all, DeviceKind.allCases)
        func wholeAfterRestore(fileSystem: FileSystem, kind: DeviceKind) async throws {
            try await Rig.with(kind, size: fileSystem.megabytes << 20) { rig in
                try await sh("\(fileSystem.make) \(rig.device) > /dev/null")
                try await sh("mount \(rig.device) \(rig.mountPoint)")
                try await Workload.run(in: rig.mountPoint, seed: 1)
                try await sh("umount \(rig.mountPoint)")
                let before = try await rig.checksum()

                try await rig.activate()
                try await rig.mount()
                try await Workload.run(in: rig.mountPoint, seed: 2)
                try await rig.unmount()
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                #expect(session.complete)
                #expect(try #require(session.chunks) > 0)
                #expect(try await rig.checksum() != before)

                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("Mounting and unmounting alone is a session that restores exactly")
        func mountAlone() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let before = try await rig.checksum()
                let session = try await rig.mounted("true")
                #expect(try #require(try await rig.sessions().last?.chunks) > 0)
                #expect(try await rig.checksum() != before)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test(
            "Two sessions in a row restore one after the other",
            arguments: DeviceKind.allCases)
        func oneAfterTheOther(kind: DeviceKind) async throws {
            try await Rig.with(kind) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.checksum()
                let one = try await rig.mounted("head -c 3M /dev/urandom > a; cp a b")
                let second = try await rig.checksum()
                let two = try await rig.mounted("head -c 2M /dev/urandom > a; rm b")
                #expect(Set([first, second, try await rig.checksum()]).count == 3)

                try await rig.restore(two)
                #expect(try await rig.checksum() == second)
                try await rig.restore(one)
                #expect(try await rig.checksum() == first)
            }
        }

        @Test("An older session alone takes the later ones back, too, and can be undone")
        func olderSession() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.checksum()
                let one = try await rig.mounted("head -c 3M /dev/urandom > a")
                try await rig.mounted("head -c 3M /dev/urandom > a; echo more > b")
                let last = try await rig.checksum()

                try await rig.restore(one)
                #expect(try await rig.checksum() == first)
                let undo = try #require(try await rig.sessions().last)
                try await rig.restore(undo)
                #expect(try await rig.checksum() == last)
            }
        }

        @Test("Put back while not activated, a device is not taken forward again")
        func noWayForward() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.checksum()
                let one = try await rig.mounted("head -c 1M /dev/urandom > a")
                let two = try await rig.mounted("head -c 1M /dev/urandom > b")
                try await rig.deactivate()
                try await rig.restore(one)
                #expect(try await rig.checksum() == first)
                try await Dmsnap.refuses(
                    ["restore", "--session", two.name], status: 65,
                    saying: [one.name, "--accept-writes"])
                #expect(try await rig.checksum() == first)
            }
        }

        @Test("A chain whose newest session is gone does not restore (65)")
        func newestMissing() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let one = try await rig.mounted("echo a > a")
                let two = try await rig.mounted("echo b > b")
                try await sh("mv \(two.directory) \(rig.directory)/aside")
                try await Dmsnap.refuses(
                    ["restore", "--session", one.name], status: 65, saying: ["missing"])
            }
        }

        @Test("After deactivation and activation the chain goes on")
        func chainGoesOn() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.checksum()
                let one = try await rig.mounted("head -c 1M /dev/urandom > a")
                try await rig.deactivate()
                try await rig.activate()
                try await rig.mounted("head -c 1M /dev/urandom > a")
                try await rig.deactivate()

                try await rig.restore(one)
                #expect(try await rig.checksum() == first)
            }
        }
    }
}

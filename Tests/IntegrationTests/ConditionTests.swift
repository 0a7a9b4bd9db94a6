import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// What a file system's own bytes say while it is mounted, and after.
    @Suite struct Condition {
        /// A file system by its command, what its bytes say unmounted, and mounted and written to.
        struct FileSystem: Sendable, CustomTestStringConvertible {
            let make: String
            var options = "rw"
            var unmounted = FileSystemCondition.clean
            var mounted = FileSystemCondition.unclean
            var testDescription: String { make }
        }

        private static let fileSystems = [
            FileSystem(make: "mkfs.ext4 -q"), FileSystem(make: "mkfs.ext3 -q"),
            FileSystem(make: "mkfs.ext2 -q"), FileSystem(make: "mkfs.ext4 -q -O ^has_journal"),
            FileSystem(make: "mkfs.xfs -q"), FileSystem(make: "mkfs.xfs -q -l su=64k"),
            FileSystem(make: "mkfs.vfat -F 32"), FileSystem(make: "mkfs.vfat -F 16 -s 16"),
            // A log tree comes with an fsync and goes with a commit, so its mount says less.
            FileSystem(make: "mkfs.btrfs -q", options: "commit=300", unmounted: .unknown),
            FileSystem(make: "mkfs.f2fs -q", unmounted: .unknown),
        ]

        private func condition(_ path: String) throws -> FileSystemCondition {
            try FileSystemCondition(of: OwnedDescriptor.open(FilePath(path), .readOnly))
        }

        /// The contents that a crash now would leave: what the disk has, after a sync of `file`.
        private func crashed(_ directory: String) async throws -> FileSystemCondition {
            try await sh("cp --sparse=always \(directory)/disk \(directory)/copy")
            return try condition("\(directory)/copy")
        }

        private func with(
            _ system: FileSystem, _ body: (_ directory: String) async throws -> Void
        ) async throws {
            let directory = try await sh(
                "mktemp -d \"${DMSNAP_TEST_DIRECTORY:-/var/tmp}/condition.XXXXXX\"")
            try await sh(
                """
                modprobe -a vfat f2fs crc32_generic nls_cp437 nls_ascii nls_iso8859-1 2>/dev/null || :
                truncate -s 400M \(directory)/disk; mkdir \(directory)/mnt
                \(system.make) \(directory)/disk > /dev/null
                """)
            do {
                try await body(directory)
            } catch {
                Issue.record(error)
            }
            try await sh("umount \(directory)/mnt 2>/dev/null || :; rm -r \(directory)")
        }

        @Test("Mounted it is unclean, and unmounted it isn't", arguments: fileSystems)
        func mounted(system: FileSystem) async throws {
            try await with(system) { directory in
                #expect(try condition("\(directory)/disk") == system.unmounted)
                for round in 1...2 {
                    try await sh(
                        """
                        mount -o loop,\(system.options) \(directory)/disk \(directory)/mnt
                        echo x > \(directory)/mnt/file\(round); sync -f \(directory)/mnt
                        echo y >> \(directory)/mnt/file\(round); sync \(directory)/mnt/file\(round)
                        """)
                    let crash = try await crashed(directory)
                    #expect(crash == system.mounted)
                    try await sh("umount \(directory)/mnt")
                    let after = try condition("\(directory)/disk")
                    #expect(after == system.unmounted)
                }
                try await sh("mount -o loop,ro \(directory)/disk \(directory)/mnt")
                let reading = try await crashed(directory)
                #expect(reading == system.unmounted)
                try await sh("umount \(directory)/mnt")
            }
        }

        @Test("A check leaves its time; a mount, writes and a replay of the journal don't")
        func checked() async throws {
            try await with(FileSystem(make: "mkfs.ext4 -q")) { directory in
                let disk = "\(directory)/disk"
                try await sh("tune2fs -T 20200102030405 \(disk)")
                let old = try lastCheck(disk)
                let wanted = try await sh("date -d '2020-01-02 03:04:05' +%s")
                #expect(old.map { "\($0)" } == wanted)
                try await sh(
                    """
                    mount -o loop \(disk) \(directory)/mnt
                    echo x > \(directory)/mnt/file; sync -f \(directory)/mnt
                    cp \(disk) \(directory)/crashed
                    umount \(directory)/mnt
                    e2fsck -p \(directory)/crashed || [ $? -le 1 ]
                    """)
                #expect(try lastCheck(disk) == old)
                #expect(try lastCheck("\(directory)/crashed") == old)
                try await sh("e2fsck -fy \(disk) || [ $? -le 1 ]")
                #expect(try lastCheck(disk) ?? 0 > old ?? .max)
            }
        }

        private func lastCheck(_ path: String) throws -> UInt64? {
            try FileSystemCondition.lastCheck(of: OwnedDescriptor.open(FilePath(path), .readOnly))
        }

        @Test("The end of an XFS's log is found in whatever round it is")
        func rounds() async throws {
            // mkfs makes a log as small as this for xfstests only, which it knows by its variables.
            let system = FileSystem(
                make: "env TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -m reflink=0 -l size=6m")
            let work = """
                import os, sys
                for i in range(3000):
                    open(f"{sys.argv[1]}/{sys.argv[2]}-{i}-" + "x" * 200, "w").close()
                os.sync()
                """
            try await with(system) { directory in
                for round in 1...6 {
                    try await sh(
                        """
                        mount -o loop \(directory)/disk \(directory)/mnt
                        python3 -c \(quoted(work)) \(directory)/mnt \(round)
                        """)
                    let crash = try await crashed(directory)
                    #expect(crash == .unclean, "round \(round)")
                    try await sh("umount \(directory)/mnt")
                    let after = try condition("\(directory)/disk")
                    #expect(after == .clean, "round \(round)")
                    // The tools' own opinion.
                    let log = try await run("xfs_logprint", ["-t", "\(directory)/disk"])
                    #expect(log.out.contains("<CLEAN>"), "round \(round)")
                }
                // It did come around: mkfs's round is the first.
                let rounds = try await sh(
                    "xfs_logprint -d \(directory)/disk | grep -c 'Cycle 0x0*[2-9]' || :")
                #expect(rounds != "0")
            }
        }
    }
}

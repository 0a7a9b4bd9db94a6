import Block
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Chain {
        @Test("Any of two dozen sessions, mounts and offline writes mixed, restores whole")
        func anySession() async throws {
            var random = SplitMix(state: 20_261_124)
            try await Rig.with(.image, size: 32 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate(["--chunk-size", "4K"])
                var baselines: [String] = []
                for step in 0..<24 {
                    baselines.append(try await rig.checksum())
                    if random.below(3) == 0 {
                        try await writeOffline(rig, &random, step)
                    } else {
                        try await rig.mounted(
                            "head -c \(4096 * (1 + random.below(200))) /dev/urandom "
                                + "> f\(random.below(6))")
                    }
                    let count = try await rig.sessions().count
                    #expect(count == step + 1)
                }
                // Back and forth: each restore is itself a session that can be undone.
                for _ in 0..<4 {
                    let index = random.below(24)
                    let session = try await rig.sessions()[index]
                    try await rig.restore(session)
                    #expect(try await rig.checksum() == baselines[index], "session \(index)")
                }
                try await rig.deactivate()
                let oldest = try #require(try await rig.sessions().first)
                try await rig.restore(oldest)
                #expect(try await rig.checksum() == baselines[0])
            }
        }

        /// dd, tune2fs or e2fsck -D on the armed device, until the monitor has made a session of it.
        private func writeOffline(
            _ rig: Rig, _ random: inout SplitMix, _ step: Int
        ) async throws {
            let path = try await rig.path()
            let before = sessionDirectories(rig)
            switch random.below(2) {
            case 0:
                let page = 4000 + random.below(4000)
                try await sh(
                    """
                    head -c 40960 /dev/urandom | dd of=\(path) bs=4096 seek=\(page) conv=notrunc \
                    status=none
                    """)
            default: try await sh("tune2fs -L step\(step) \(path) > /dev/null")
            }
            try await eventually("the offline session") { sessionDirectories(rig) > before }
        }

        private func sessionDirectories(_ rig: Rig) -> Int {
            ((try? Files.list(FilePath(rig.base))) ?? []).filter { $0.contains("_20") }.count
        }

        @Test("Writes outside a mount are a session of their own before the next mount's")
        func offlineBeforeMount() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.checksum()
                try await sh("tune2fs -L changed \(rig.path())")
                try await eventually("the offline session") { sessionDirectories(rig) == 1 }
                let second = try await rig.checksum()
                let mount = try await rig.mounted("echo x > x")
                let all = try await rig.sessions()
                #expect(all.count == 2 && all[1].name == mount.name)
                let shown = try await Dmsnap.must(["show", all[0].name])
                #expect(shown.contains("writes outside a mount"))
                try await rig.restore(mount)
                #expect(try await rig.checksum() == second)
                try await rig.restore(all[0])
                #expect(try await rig.checksum() == first)
            }
        }

        @Test("A thousand mounts and unmounts by four processes at once lose nothing")
        func thousandCycles() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                let program = "\(rig.directory)/cycle"
                let source = FilePath(#filePath).removingLastComponent().appending("cycle.c")
                try await sh("gcc -Wall -Wextra -Werror -o \(program) \(source)")
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate(["--chunk-size", "4K"])
                let first = try await rig.checksum()
                let path = try await rig.path()
                let points = (0..<4).map { "\(rig.directory)/m\($0)" }
                try await sh("mkdir \(points.joined(separator: " "))")
                try await withThrowingTaskGroup { group in
                    // All four on one device share its file system while it is mounted.
                    for (number, point) in points.dropLast().enumerated() {
                        group.addTask {
                            try await sh("\(program) \(path) \(point) f\(number) 325")
                        }
                    }
                    // And mount(8) with umount(8), a process each.
                    group.addTask { try await sh(Self.loop(path, points[3], times: 25)) }
                    try await group.waitForAll()
                }
                // What the last of them wrote may be in a store whose session is opened in a moment.
                try await eventually("the last session is closed") {
                    let status = try await rig.status()
                    return status.state == "armed" && rig.openSessions().isEmpty
                        && status.storeUsedBytes == 2 * status.chunkSize
                }
                let all = try await rig.sessions()
                #expect(!all.isEmpty && all.allSatisfy(\.complete))
                // Nothing leaks: one loop device for the image and one for the store (a detached one is
                // gone when udev, too, has closed it); the monitor's descriptors don't grow.
                try await eventually("two loop devices are left") {
                    try await sh("losetup -a | wc -l") == "2"
                }
                // While it compresses a session, or works on a device, it has a few more.
                try await eventually("the monitor has as many descriptors as one at rest") {
                    let descriptors = try await sh("ls /proc/$(pgrep -x dmsnap)/fd | wc -l")
                    return try #require(Int(descriptors)) < 20
                }
                #expect(try Files.list(FilePath(rig.base).appending(".armed")).count == 1)
                try await rig.restore(try #require(all.first))
                #expect(try await rig.checksum() == first)
            }
        }

        /// What cycle.c does, as a shell script: the device can be busy for an instant, for mounts.
        private static func loop(_ path: String, _ point: String, times: Int) -> String {
            """
            patiently() {
                for attempt in $(seq 100); do
                    if "$@" 2> \(point).err; then return; fi
                    grep -q busy \(point).err || break
                    sleep 0.02
                done
                cat \(point).err >&2
                return 1
            }
            for round in $(seq \(times)); do
                patiently mount -t ext4 \(path) \(point)
                echo "round $round" > \(point)/shell
                patiently umount \(point)
            done
            """
        }
    }
}

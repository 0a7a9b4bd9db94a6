import Block
import Glibc
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
                #expect(all.count == 2 && all[1] == mount)
                let shown = try await Dmsnap.must(["show", all[0].name])
                #expect(shown.contains("writes outside a mount"))
                try await rig.restore(mount)
                #expect(try await rig.checksum() == second)
                try await rig.restore(all[0])
                #expect(try await rig.checksum() == first)
            }
        }

        @Test("A thousand mounts and unmounts as fast as the kernel does them lose nothing")
        func thousandCycles() async throws {
            try await Rig.with(.image, size: 16 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate(["--chunk-size", "4K"])
                let first = try await rig.checksum()
                let path = try await rig.path()
                let points = (0..<4).map { "\(rig.directory)/m\($0)" }
                try await sh("mkdir \(points.joined(separator: " "))")
                try await withThrowingTaskGroup { group in
                    for (number, point) in points.enumerated() {
                        group.addTask { try cycle(path, point, number, times: 250) }
                    }
                    try await group.waitForAll()
                }
                try await eventually("the last session is closed") {
                    rig.openSessions().isEmpty
                }
                try await eventually("it is armed") { try await rig.status().state == "armed" }
                let all = try await rig.sessions()
                #expect(!all.isEmpty && all.allSatisfy(\.complete))
                // Nothing leaks: one loop device for the image and one for the store; the monitor's
                // descriptors don't grow.
                #expect(try await sh("losetup -a | wc -l") == "2")
                let descriptors = try await sh("ls /proc/$(pgrep -x dmsnap)/fd | wc -l")
                #expect(try #require(Int(descriptors)) < 20)
                #expect(try Files.list(FilePath(rig.base).appending(".armed")).count == 1)
                try await rig.restore(try #require(all.first))
                #expect(try await rig.checksum() == first)
            }
        }
    }
}

/// Mounts, writes a little, unmounts; the four of them on one device share its file system.
private func cycle(_ device: String, _ point: String, _ number: Int, times: Int) throws {
    for round in 0..<times {
        // The device can be suspended or claimed for an instant: EBUSY is asked again.
        try retried { unsafe mount(device, point, "ext4", 0, nil) }
        let file = FilePath("\(point)/f\(number)")
        try? Files.remove(file)
        try OwnedDescriptor.create(file).write(Array("round \(round)".utf8), at: 0)
        try retried { unsafe umount2(point, 0) }
    }
}

private func retried(_ call: () -> CInt) throws {
    for _ in 0..<2000 {
        if call() == 0 { return }
        guard errno == EBUSY || errno == EINTR else { break }
        usleep(5000)
    }
    throw SystemError(operation: "mount", path: "cycle", errno: Errno(rawValue: errno))
}

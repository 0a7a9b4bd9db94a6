import Testing

extension IntegrationTests {
    @Suite struct MonitorProcess {
        @Test("An idle monitor takes next to no time of the processor")
        func idle() async throws {
            try await Rig.with(.image) { rig in
                try await rig.activate()
                let process = try await sh("pgrep -x dmsnap")
                // utime and stime, in hundredths of a second (proc(5)).
                func ticks() async throws -> Int {
                    let line = try await sh("cut -d' ' -f14,15 /proc/\(process)/stat")
                    return line.split(separator: " ").compactMap { Int($0) }.reduce(0, +)
                }
                let before = try await ticks()
                try await Task.sleep(for: .seconds(12))
                #expect(try await ticks() - before <= 6)
            }
        }

        @Test("Sessions that opened or closed while no monitor ran are taken up by the next")
        func killed() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                let first = try await rig.checksum()
                try await rig.mount()
                try await sh("pkill -KILL -x dmsnap; echo a > \(rig.mountPoint)/a")
                try await sh("umount \(rig.mountPoint)")
                try await rig.activate()
                try await eventually("the session is closed") {
                    try await rig.status().state == "armed"
                }
                let second = try await rig.checksum()
                try await sh("pkill -KILL -x dmsnap")
                try await sh(
                    "mount \(rig.path()) \(rig.mountPoint); echo b > \(rig.mountPoint)/b")
                try await rig.activate()
                try await eventually("the session is open") {
                    try await rig.status().state == "open"
                }
                try await rig.unmount()
                let all = try await rig.sessions()
                #expect(all.count == 2)
                try await rig.restore(all[1])
                #expect(try await rig.checksum() == second)
                try await rig.restore(all[0])
                #expect(try await rig.checksum() == first)
            }
        }
    }
}

import Block
import Foundation
import Synchronization
import SystemPackage

/// Writes 4 KiB again and again, each on the disk before the next, and knows how long the slowest took.
private final class Writer: Sendable {
    private struct State {
        var longest = 0.0
        var isOver = false
    }

    private let state = Mutex(State())

    init(_ path: FilePath) throws {
        let file = try FileDescriptor.open(
            path, .readWrite, options: [.create, .init(rawValue: O_DSYNC)],
            permissions: [.ownerReadWrite])
        Thread.detachNewThread { [self] in
            let bytes = [UInt8](repeating: 7, count: 4096)
            var number: Int64 = 0
            while !state.withLock({ $0.isOver }) {
                number = (number + 1) % 500
                let clock = ContinuousClock()
                let start = clock.now
                _ = try? file.writeAll(toAbsoluteOffset: number * 4096, bytes)
                let time = seconds(start.duration(to: clock.now))
                state.withLock { $0.longest = max($0.longest, time) }
            }
            try? file.close()
        }
    }

    /// The slowest while `body` ran, and shortly after.
    func longest(_ body: () async throws -> Void) async throws -> Double {
        try await Task.sleep(for: .milliseconds(300))
        state.withLock { $0.longest = 0 }
        try await body()
        try await Task.sleep(for: .milliseconds(300))
        return state.withLock { $0.longest }
    }

    func end() { state.withLock { $0.isOver = true } }
}

/// What a checkpoint keeps a writer waiting for, beside the freeze of the file system alone.
extension Guest {
    mutating func checkpoints() async throws {
        try await configure(readBack: false)
        try await sh(
            """
            mkdir -p /bench/now; mkfs.ext4 -q -F \(Self.disk)
            dmsnap activate \(Self.disk) --passfile /root/password > /dev/null
            mount $(dmsnap status --json | jq -r '.[0].path') /bench/now
            until dmsnap status --json | grep '"open"' > /dev/null; do sleep 0.1; done
            """)
        let writer = try Writer("/bench/now/file")
        let measured = try await compare(
            Measurement(
                what: "checkpoint, a write's longest wait", contents: "4 KiB, O_DSYNC",
                against: "fsfreeze and back"),
            rounds: 8,
            ours: {
                try await writer.longest { try await sh("dmsnap checkpoint \(Self.disk)") }
            },
            theirs: {
                try await writer.longest {
                    try await sh("fsfreeze -f /bench/now; fsfreeze -u /bench/now")
                }
            })
        results.measurements.append(measured)
        try await groupCheckpoints(writer)
        writer.end()
        let most = measured.ours.max() ?? 0
        let frozen = measured.theirs.sorted()[measured.theirs.count / 2]
        results.figures.append(
            Figure(
                what: "longest wait of a write at one of eight checkpoints, beyond a freeze's",
                value: (most - frozen) * 1000, unit: "ms", limit: 50))
        try await sh(
            """
            sleep 0.5; umount /bench/now
            until dmsnap status --json | grep '"armed"' > /dev/null; do sleep 0.1; done
            dmsnap deactivate \(Self.disk) --passfile /root/password > /dev/null; rm -rf /snapshot/*
            """)
    }

    /// The same of four devices at one instant, against one of them.
    private mutating func groupCheckpoints(_ writer: Writer) async throws {
        try await sh(
            """
            cd /bench; for n in 1 2 3; do
                truncate -s 64M other$n; mkfs.ext4 -q -F other$n; mkdir -p at$n
                dmsnap activate /bench/other$n --passfile /root/password > /dev/null
                mount /dev/mapper/dmsnap-other$n at$n
            done
            dmsnap group four \(Self.disk) /bench/other1 /bench/other2 /bench/other3 > /dev/null
            """)
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "checkpoint of a group of four, a write's longest wait",
                    contents: "4 KiB, O_DSYNC", against: "a checkpoint of one of them"),
                rounds: 8,
                ours: { try await writer.longest { try await sh("dmsnap checkpoint four") } },
                theirs: {
                    try await writer.longest { try await sh("dmsnap checkpoint \(Self.disk)") }
                }))
        try await sh(
            """
            cd /bench; for n in 1 2 3; do umount at$n; done
            until [ $(dmsnap status --json | grep -c '"armed"') = 3 ]; do sleep 0.1; done
            for n in 1 2 3; do
                dmsnap deactivate /bench/other$n --passfile /root/password > /dev/null; rm other$n
            done
            """)
    }
}

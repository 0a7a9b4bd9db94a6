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
        writer.end()
        results.measurements.append(measured)
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
}

import Foundation

/// A device under an overlay: first writes against the same to the raw store, and what giving them up takes.
extension Guest {
    private static let raw = "/scratch/raw"

    private static func fio(_ kind: String, _ device: String) -> String {
        "fio --name=w --direct=1 --ioengine=io_uring --randseed=7 --allow_mounted_write=1 "
            + "\(kind) --filename=\(device) > /dev/null"
    }

    private func activate(_ chunk: String) async throws -> String {
        try await sh(
            """
            dmsnap activate \(Self.disk) --passfile /root/password --mode overlay --chunk-size \(chunk) \
                > /dev/null
            dmsnap status --json | jq -r '.[0].path'
            """)
    }

    private func discard() async throws -> Double {
        try await timed { try await sh("dmsnap discard \(Self.disk) > /dev/null") }
    }

    mutating func overlay() async throws {
        try await configure(readBack: false)
        for (contents, chunk, kind) in [
            (
                "256 MiB in sequence, 1 MiB each", "64K",
                "--rw=write --bs=1m --size=256m --iodepth=8"
            ),
            (
                "32 MiB random, 4 KiB each", "4K",
                "--rw=randwrite --bs=4k --io_size=32m --size=1g --iodepth=32"
            ),
        ] {
            let path = try await activate(chunk)
            results.measurements.append(
                try await compare(
                    Measurement(
                        what: "first writes over a device", contents: contents,
                        against: "the same to the raw store", wanted: 0.9),
                    rounds: 5,
                    ours: {
                        let time = try await timed { try await sh(Self.fio(kind, path)) }
                        _ = try await discard()
                        return time
                    },
                    theirs: {
                        let loop = try await sh(
                            """
                            rm -f \(Self.raw); truncate -s 1G \(Self.raw)
                            losetup -f --show --direct-io=on \(Self.raw)
                            """)
                        let time = try await timed { try await sh(Self.fio(kind, loop)) }
                        try await sh("losetup -d \(loop)")
                        return time
                    }))
            try await sh("dmsnap deactivate \(Self.disk) --passfile /root/password > /dev/null")
        }
        let path = try await activate("16K")
        func written(_ size: String) async throws -> Double {
            try await sh(Self.fio("--rw=write --bs=1m --size=\(size) --iodepth=8", path))
            return try await discard()
        }
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "discard", contents: "1 GiB written over it",
                    against: "the same with 16 MiB", wanted: 0.8),
                rounds: 5, ours: { try await written("1g") }, theirs: { try await written("16m") }))
        try await sh(
            "dmsnap deactivate \(Self.disk) --passfile /root/password > /dev/null; rm -rf /snapshot/*"
        )
    }
}

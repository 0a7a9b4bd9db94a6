import Block
import Foundation
import Glibc
import SystemPackage

/// How long it takes after a mount until its session is there, and after the last unmount until the device is armed
/// again, beside the start of the program alone.
extension Guest {
    private static let rounds = 30

    mutating func mounts() async throws {
        try await configure(readBack: false)
        let directory = "/bench/now"
        try await sh(
            """
            mkdir -p \(directory); mkfs.ext4 -q -F \(Self.disk)
            dmsnap activate \(Self.disk) --passfile /root/password > /dev/null
            """)
        let origin = try await sh("dmsnap status --json | jq -r '.[0].path'")
        var starts: [Double] = []
        var opened: [Double] = []
        var armed: [Double] = []
        for round in 0..<Self.rounds {
            // What udev still does after the round before is none of this one's.
            try await sh("udevadm settle; sleep 0.5")
            starts.append(try await timed { try await sh("exec dmsnap --version") })
            opened.append(
                try await timed {
                    guard unsafe mount(origin, directory, "ext4", 0, nil) == 0 else {
                        throw Errno(rawValue: errno)
                    }
                    try await until("open")
                })
            // As much as a mount of a file system changes, and a little more.
            try await sh("head -c 1M /dev/urandom > \(directory)/\(round); sync -f \(directory)")
            armed.append(
                try await timed {
                    guard unsafe umount(directory) == 0 else { throw Errno(rawValue: errno) }
                    try await until("armed")
                })
        }
        try await sh(
            """
            dmsnap deactivate \(Self.disk) --passfile /root/password > /dev/null; rm -rf /snapshot/*
            """)
        let start = Self.part(starts, 0.5)
        results.figures.append(
            Figure(what: "dmsnap --version, median", value: start * 1000, unit: "ms", limit: nil))
        for (what, times, limit) in [
            ("a mount until its session is there", opened, 3.0),
            ("an unmount until the device is armed again", armed, 4.0),
        ] {
            for (name, part) in [("median", 0.5), ("99 in 100", 0.99)] {
                results.figures.append(
                    Figure(
                        what: "\(what), \(name), in starts of dmsnap",
                        value: Self.part(times, part) / start, unit: "",
                        limit: part == 0.99 ? limit : nil))
            }
        }
    }

    private static func part(_ times: [Double], _ part: Double) -> Double {
        let sorted = times.sorted()
        return sorted[min(Int((Double(sorted.count) * part).rounded(.up)), sorted.count) - 1]
    }

    /// Waits until the registry says so: a program that asks would take longer than what it waits for.
    private func until(_ state: String) async throws {
        for _ in 0..<4000 {
            let registry = try Files.read("/var/lib/dmsnap/registry.json")
            if String(decoding: registry, as: UTF8.self).contains("\"name\" : \"\(state)\"") {
                return
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Failure("the device does not become \(state)")
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}

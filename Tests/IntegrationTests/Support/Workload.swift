import Block
import Synchronization
import SystemPackage

/// Four threads that write, create, truncate, rename and delete in a mounted directory.
enum Workload {
    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameter seed: the same seed does the same in each thread.
    static func run(in directory: String, seed: UInt64, operations: Int = 60) async throws {
        try await withThrowingTaskGroup { group in
            for thread in 0..<4 {
                group.addTask {
                    try work(FilePath(directory), thread: thread, seed, operations)
                }
            }
            try await group.waitForAll()
        }
    }

    private static func work(
        _ directory: FilePath, thread: Int, _ seed: UInt64, _ operations: Int
    ) throws {
        var random = SplitMix(state: seed &+ UInt64(thread) &* 0x9E37_79B9)
        var files: [String] = []
        for step in 0..<operations {
            switch files.isEmpty ? 0 : random.below(8) {
            case 0, 1:
                let name = "s\(seed)t\(thread)n\(step)"
                try OwnedDescriptor.create(directory.appending(name)).close()
                files.append(name)
                try write(directory.appending(name), &random)
            case 2:
                let file = files[random.below(files.count)]
                let opened = try OwnedDescriptor.open(directory.appending(file), .readWrite)
                try opened.resize(to: ByteCount(UInt64(random.below(64)) * 1000))
                if random.below(2) == 0 { try opened.synchronize() }
            case 3:
                let index = random.below(files.count)
                let name = "s\(seed)t\(thread)r\(step)"
                try Files.rename(
                    directory.appending(files[index]), to: directory.appending(name))
                files[index] = name
            case 4:
                let index = random.below(files.count)
                try Files.remove(directory.appending(files.remove(at: index)))
            default:
                try write(directory.appending(files[random.below(files.count)]), &random)
            }
        }
    }

    /// Made once: making bytes one by one takes a debug build longer than writing them.
    private static let noise: [UInt8] = {
        var random = SplitMix(state: 7)
        return (0..<(1 << 17)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()
    private static let text: [UInt8] = (0..<4000).flatMap { number in
        Array("line \(number) of some text that compresses well\n".utf8)
    }

    /// One to eight pages of random or text data, at a random page.
    private static func write(_ path: FilePath, _ random: inout SplitMix) throws {
        let file = try OwnedDescriptor.open(path, .readWrite)
        let count = (1 + random.below(8)) * 4096
        let source = random.below(2) == 0 ? Self.noise : Self.text
        let start = random.below(source.count - count)
        let bytes = Array(source[start..<start + count])
        try file.write(bytes, at: UInt64(random.below(128)) * 4096)
        if random.below(4) == 0 { try file.synchronize() }
    }
}

/// Steele, Lea and Flood's SplitMix64: small, seeded, the same everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ limit: Int) -> Int {
        Int(next() % UInt64(limit))
    }
}

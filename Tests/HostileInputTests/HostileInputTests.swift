import Foundation
import HostileInput
import StoreTesting
import Testing

/// What `make fuzz` does for hours and led by what it reaches, here for a moment and the same every time.
@Suite struct HostileInputTests {
    private static let corpora = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "fuzz-corpus")

    @Test("no reader is led astray", arguments: HostileInput.checks.keys.sorted())
    func mutants(_ kind: String) throws {
        let check = try #require(HostileInput.checks[kind])
        let names = try FileManager.default.contentsOfDirectory(
            atPath: Self.corpora.appending(path: kind).path)
        #expect(!names.isEmpty)
        let seeds = try names.sorted().map { name in
            [UInt8](try Data(contentsOf: Self.corpora.appending(path: "\(kind)/\(name)")))
        }
        var mutator = Mutator(seeds: seeds)
        for input in seeds { check(input) }
        for _ in 0..<4000 { check(mutator.next()) }
    }

    @Test("every corpus has its check")
    func complete() throws {
        let kinds = try FileManager.default.contentsOfDirectory(atPath: Self.corpora.path)
        #expect(Set(kinds) == Set(HostileInput.checks.keys))
    }
}

/// Makes inputs out of good ones, as a fuzzer that sees nothing would.
private struct Mutator {
    private let seeds: [[UInt8]]
    private var generator = SeededGenerator(seed: 1)

    init(seeds: [[UInt8]]) { self.seeds = seeds }

    mutating func next() -> [UInt8] {
        var bytes = seeds.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 1...4, using: &generator) { mutate(&bytes) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        guard let place = bytes.indices.randomElement(using: &generator) else { return }
        let end = min(place + Int.random(in: 1...16, using: &generator), bytes.count)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2:
            // What counts and lengths are wrong by.
            let number = [0, 1, .max, .max >> 1, 1 << 32, 1 << 20].randomElement(using: &generator)
            let length = [1, 2, 4, 8].randomElement(using: &generator) ?? 8
            for index in place..<min(place + length, bytes.count) {
                bytes[index] = UInt8(truncatingIfNeeded: (number ?? 0) >> (8 * (index - place)))
            }
        case 3: bytes.removeSubrange(place..<end)
        case 4: bytes.insert(contentsOf: bytes[place..<end], at: place)
        default: bytes.removeSubrange(place...)
        }
    }
}

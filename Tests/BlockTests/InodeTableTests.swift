import Foundation
import Subprocess
import SystemPackage
import Testing

@testable import Block

/// Against what debugfs(8) and xfs_db(8) say.
@Suite struct InodeTableTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func table(_ image: FilePath, _ type: String) throws -> InodeTable? {
        try InodeTable(of: OwnedDescriptor.open(image, .readOnly), type: type)
    }

    private func output(_ tool: String, _ arguments: [String]) async throws -> String {
        let result = try await Subprocess.run(
            .name(tool), arguments: Arguments(arguments), environment: .withTools,
            output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
        return try #require(result.terminationStatus.isSuccess ? result.standardOutput : nil)
    }

    @Test(
        "An ext file system's inodes are where debugfs finds them",
        arguments: [
            ["ext4"], ["ext3"], ["ext2", "-r", "0"], ["ext4", "-b", "4096"], ["ext4", "-I", "128"],
            ["ext4", "-O", "^64bit,^flex_bg"], ["ext4", "-I", "1024", "-g", "2048", "-b", "1024"],
        ])
    func ext(options: [String]) async throws {
        let image = try directory.image("image", size: 96 << 20)
        try await run(
            "mkfs.\(options[0])", ["-q", "-F", "-N", "4096"] + options.dropFirst() + [image.string])
        let table = try #require(try table(image, options[0]))
        let log = try OwnedDescriptor.open(image, .readOnly).read(count: 1, at: 1024 + 0x18)
        let blockSize: UInt64 = 1024 << UInt64(log[0])
        let size = options.firstIndex(of: "-I").map { options[$0 + 1] }
        for inode in [1, 2, 11, 12, 300, 1999, 3500] as [UInt64] {
            // "Inode 12 is part of block group 0 / located at block 41, offset 0x0b00"
            let words = try await output("debugfs", ["-R", "imap <\(inode)>", image.string])
                .split { " ,\n\t".contains($0) }
            let block = try #require(
                words.firstIndex(of: "block", after: "at").flatMap { UInt64(words[$0 + 1]) })
            let offset = try #require(words.last.flatMap { UInt64($0.dropFirst(2), radix: 16) })
            let place = try #require(table.place(of: inode))
            #expect(place.lowerBound == block * blockSize + offset, "inode \(inode)")
            if let size { #expect(place.count == Int(size)) }
        }
        #expect(table.place(of: 0) == nil)
        #expect(table.place(of: 1 << 40) == nil)
    }

    @Test("What is in a journal still, or has its descriptors elsewhere, has no known places")
    func extUnknown() async throws {
        let image = try directory.image("image", size: 64 << 20)
        try await run("mkfs.ext4", ["-q", "-F", image.string])
        let file = try OwnedDescriptor.open(image, .readWrite)
        for bit in [4, 0x10] as [UInt8] {
            let was = try #require(try file.read(count: 1, at: 1024 + 0x60).first)
            #expect(try table(image, "ext4") != nil)
            try file.write([was | bit], at: 1024 + 0x60)
            #expect(try table(image, "ext4") == nil)
            try file.write([was], at: 1024 + 0x60)
        }
        #expect(try table(image, "btrfs") == nil)
        #expect(try table(image, "xfs") == nil)
    }

    @Test("Whatever a superblock and its descriptors say, no place is outside what can be computed")
    func hostile() async throws {
        for (type, size, fields) in [
            ("ext4", 64, 1024..<2048), ("ext4", 64, 4096..<4160), ("xfs", 320, 0..<256),
        ] as [(String, UInt64, Range<UInt64>)] {
            let image = try directory.image("\(type)-\(fields.lowerBound)", size: size << 20)
            try await run("mkfs.\(type)", [type == "xfs" ? "-q" : "-qF", image.string])
            let file = try OwnedDescriptor.open(image, .readWrite)
            for place in fields {
                let was = try file.read(count: 1, at: place)
                for byte in [0, 1, 0x7F, 0xFF] as [UInt8] {
                    try file.write([byte], at: place)
                    guard let table = try table(image, type) else { continue }
                    for inode in [0, 1, 2, 1 << 31, 1 << 40, .max] as [UInt64] {
                        #expect(table.place(of: inode)?.isEmpty != true)
                    }
                }
                try file.write(was, at: place)
            }
        }
    }

    @Test(
        "An XFS's inodes are where xfs_db finds them",
        arguments: [[], ["-i", "size=1024"], ["-b", "size=1024"], ["-d", "agcount=3"]])
    func xfs(options: [String]) async throws {
        let image = try directory.image("image", size: 320 << 20)
        try await run("mkfs.xfs", ["-q"] + options + [image.string])
        let table = try #require(try table(image, "xfs"))
        // The root's, and others in every group: those are numbers that there may be once.
        let text = try await output(
            "xfs_db", ["-r", "-c", "sb 0", "-c", "p rootino", image.string])
        let root = try #require(text.split(separator: " ").last.flatMap { UInt64($0.trimmed) })
        let groupBits = try await output(
            "xfs_db", ["-r", "-c", "sb 0", "-c", "p agblklog", "-c", "p inopblog", image.string])
        let bits = groupBits.split(separator: "\n").compactMap {
            $0.split(separator: " ").last.flatMap { UInt64($0) }
        }.reduce(0, +)
        for inode in [root, root + 1, root + 63, root + 1 << bits, root + 2 << bits + 5] {
            // "0x10000 (65536)"
            let said = try await output(
                "xfs_db", ["-r", "-c", "convert inode \(inode) byte", image.string])
            let byte = try #require(
                said.split(separator: "(").last.flatMap { UInt64($0.prefix { $0 != ")" }) })
            #expect(table.place(of: inode)?.lowerBound == byte, "inode \(inode)")
        }
        #expect(table.place(of: .max) == nil)
    }
}

extension StringProtocol {
    fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

extension Array where Element: Equatable {
    /// The first place of an element that stands right behind another.
    fileprivate func firstIndex(of element: Element, after other: Element) -> Int? {
        indices.dropFirst().first { self[$0] == element && self[$0 - 1] == other }
    }
}

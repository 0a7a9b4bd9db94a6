import Block
import ExceptionStore
import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct Capture {
        // snapshot-origin computes where to split bios only when it is resumed; a snapshot loaded
        // after that would get the first chunk of each large bio, and no other.
        @Test("Every chunk of 256 MiB written with 1 MiB direct I/O is in the store")
        func largeWrites() async throws {
            try await Rig.with(.block, size: 256 << 20) { rig in
                try await sh("head -c 256M /dev/urandom > \(rig.file)")
                try await rig.activate(["--chunk-size", "4K"])
                let before = try await rig.checksum()
                try await sh(
                    """
                    dd if=/dev/zero of=\(rig.path()) bs=1M count=256 oflag=direct \
                    conv=notrunc status=none
                    """)
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().first)
                #expect(session.chunks == 65_536)

                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("A store that takes over in the exchange splits large writes as well")
        func largeWritesAfterExchange() async throws {
            try await Rig.with(.image, size: 64 << 20) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate(["--chunk-size", "4K"])
                try await rig.mounted("echo x > x")
                let before = try await rig.checksum()
                let path = try await rig.path()
                try await sh("dd if=/dev/zero of=\(path) bs=1M count=64 oflag=direct status=none")
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().last)
                #expect(session.chunks == 16_384)
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test(
            "A size that is no multiple of a chunk, of 4 KiB, or is only 1 MiB comes back whole",
            arguments: [(1 << 20) + 512, (5 << 20) + 3 * 512, 1 << 20])
        func oddSizes(size: Int) async throws {
            try await Rig.with(.image, size: size) { rig in
                try await sh("head -c \(size) /dev/urandom > \(rig.file)")
                try await rig.activate()
                let before = try await rig.checksum()
                let path = try await rig.path()
                try await sh("dd if=/dev/zero of=\(path) bs=512 conv=notrunc status=none || true")
                try await rig.deactivate()
                let session = try #require(try await rig.sessions().last)
                #expect(session.bytes == UInt64(size))
                try await rig.restore(session)
                #expect(try await rig.checksum() == before)
            }
        }

        @Test("Names with spaces, quotes, unicode and 200 characters work")
        func names() async throws {
            let names = [
                "my disk's \"image\" #1 %n.img", "数据-ø.img", "newline\nin.img",
                String(repeating: "long", count: 50),
            ]
            for name in names {
                try await Rig.with(.image, name: name) { rig in
                    try await sh("mkfs.ext4 -q -F \(quoted(rig.device))")
                    let before = try await rig.checksum()
                    try await rig.activate()
                    let session = try await rig.mounted("echo content > file")
                    try await rig.deactivate()
                    try await rig.restore(session)
                    #expect(try await rig.checksum() == before)
                }
            }
        }
    }
}

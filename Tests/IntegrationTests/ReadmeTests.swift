import Block
import SystemPackage
import Testing

extension IntegrationTests {
    /// What README.md shows of a few jobs is what comes out.
    @Suite struct Readme {
        /// A command, and what it prints.
        private struct Exchange {
            let command: String
            var output: [String] = []
        }

        /// The commands in the code of a section, up to the next one.
        ///
        /// - Parameter prompt: root's, or `$` for everybody's.
        private func exchanges(of section: String, prompt: String = "#") throws -> [Exchange] {
            let readme = FilePath(#filePath).removingLastComponent().removingLastComponent()
                .removingLastComponent().appending("README.md")
            let lines = String(decoding: try Files.read(readme), as: UTF8.self)
                .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            let start = try #require(lines.firstIndex(of: "### \(section)"))
            var exchanges: [Exchange] = []
            var isCode = false
            for line in lines[(start + 1)...] {
                if line.hasPrefix("#"), !isCode { break }
                if line.hasPrefix("```") {
                    isCode.toggle()
                } else if isCode, line.hasPrefix("\(prompt) ") {
                    exchanges.append(Exchange(command: String(line.dropFirst(2))))
                } else if isCode, !exchanges.isEmpty {
                    exchanges[exchanges.count - 1].output.append(line)
                }
            }
            return exchanges
        }

        /// How much it is depends on the file system's own writes.
        private func withoutSizes(_ text: String) -> String {
            text.replacing(/[0-9.]+ (B|[KMG]iB)/, with: "SIZE")
        }

        @Test("One file back, what a mount changed, and what keeps the disk from filling")
        func jobs() async throws {
            try await Rig.with(.block) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await sh(
                    """
                    mount \(rig.device) \(rig.mountPoint); cd \(rig.mountPoint)
                    cp /etc/services .; mkdir -p udev/rules.d; head -c 20M /dev/urandom > photos
                    cd /; umount \(rig.mountPoint)
                    """)
                try await rig.activate()
                let first = try await rig.mounted(
                    "rm -r udev; echo oops > services; shred -n 1 photos")
                try await rig.restore(first)
                let second = try #require(try await rig.sessions().last)
                try await rig.mounted("echo more > more")
                try await rig.deactivate()
                for session in try await rig.sessions() { try await rig.archived(session) }

                let device = FilePath(rig.device).lastComponent?.string ?? ""
                let names = [
                    ("sda1_20261124T214237Z", first.name), ("sda1_20261124T214255Z", second.name),
                    ("sda1", device),
                ]
                func run(_ section: String) async throws {
                    for exchange in try exchanges(of: section) {
                        let command = names.reduce(exchange.command) {
                            $0.replacing($1.0, with: $1.1)
                        }
                        let output = try await sh("cd /; \(command)")
                        let told = names.reduce(output) { $0.replacing($1.1, with: $1.0) }
                        #expect(
                            withoutSizes(told)
                                == withoutSizes(exchange.output.joined(separator: "\n")),
                            "\(exchange.command)")
                    }
                }
                try await run("One file back")
                try await sh("cmp /mnt/services.old /etc/services; rm /mnt/services.old")
                try await run("What did this mount change")
                try await sh(
                    """
                    mkdir -p /etc/dmsnap; printf '[retention]\\nkeep-last = 1\\n' > /etc/dmsnap/dmsnap.toml
                    """)
                try await run("Keep the disk from filling")
                try await sh("rm /etc/dmsnap/dmsnap.toml")
                let left = try await rig.sessions()
                #expect(left.contains { $0.name == first.name } && left.count == 2)
            }
        }

        @Test("An ordinary user looks into an archive, and restores an image from it")
        func ordinaryUser() async throws {
            try await Rig.with(.image) { rig in
                try await sh("mkfs.ext4 -q -F \(rig.device)")
                try await rig.activate()
                try await rig.mounted("echo before > a; mkdir d")
                let before = try await rig.checksum()
                let session = try await rig.mounted("echo after > a; rmdir d")
                try await rig.archived(session)
                try await rig.deactivate()
                let home = "\(rig.directory)/home"
                try await sh(
                    """
                    modprobe fuse
                    mkdir \(home); cp \(session.directory)/chunks.dmsz \(rig.file) \(home)
                    chown -R nobody \(home); chmod 755 \(rig.directory)
                    """)
                func run(_ section: String) async throws {
                    let commands = try exchanges(of: section, prompt: "$").map(\.command)
                    #expect(!commands.isEmpty)
                    for command in commands {
                        try await sh(
                            "cd \(home); setpriv --reuid nobody --clear-groups sh -ec '\(command)'")
                    }
                }
                let image = try await sh("xxh128sum < \(home)/disk.img")
                try await run("Look into a session")
                let seen = try await sh(
                    """
                    cd \(home); setpriv --reuid nobody --clear-groups sh -c \
                        'cat then/a; ls then; fusermount -u then'
                    """)
                #expect(seen == "before\na\nd\nlost+found")
                #expect(try await sh("xxh128sum < \(home)/disk.img") == image)
                try await run("Archives")
                #expect(try await sh("xxh128sum < \(home)/disk.img").prefix(32) == before)
            }
        }
    }
}
